"""Names and units of a model's whole state, the same whoever simulates it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from environment.state import AXES, Entry, StateLayout

_COORDINATE_UNITS = {"joint_pos": ("rad", "m"), "joint_vel": ("rad/s", "m/s"), "joint_acc": ("rad/s^2", "m/s^2")}
"""Of rotations and of translations."""
BODY_UNITS = {
    "body_pos": "m",
    "body_vel": "m/s",
    "body_acc": "m/s^2",
    "body_pos_rot": "rad",
    "body_vel_rot": "rad/s",
    "body_acc_rot": "rad/s^2",
}
_MUSCLE_UNITS = {"activation": "1", "fiber_length": "m", "fiber_velocity": "m/s", "fiber_force": "N"}
_MASS_CENTER_UNITS = {"mass_center_pos": "m", "mass_center_vel": "m/s", "mass_center_acc": "m/s^2"}


def full_layout(
    joints: Mapping[str, Sequence[tuple[str, bool]]],
    bodies: Sequence[str],
    forces: Iterable[tuple[str, str, str]],
    muscles: Sequence[str],
) -> StateLayout:
    """The layout in the order of osim-rl's `compute_state_desc`. Markers are left out.

    Args:
        joints: Coordinates of each: name, and whether it is a rotation.
        forces: Force, label and unit of every number that the forces record.
    """
    entries = [
        Entry(f"{branch}/{joint}/{name}", units[0] if rotational else units[1])
        for branch, units in _COORDINATE_UNITS.items()
        for joint, coordinates in joints.items()
        for name, rotational in coordinates
    ]
    entries += [
        Entry(f"{branch}/{body}/{axis}", unit)
        for branch, unit in BODY_UNITS.items()
        for body in bodies
        for axis in AXES
    ]
    entries += [Entry(f"forces/{force}/{label}", unit) for force, label, unit in forces]
    entries += [Entry(f"muscles/{muscle}/{leaf}", unit) for muscle in muscles for leaf, unit in _MUSCLE_UNITS.items()]
    entries += [Entry(f"misc/{name}/{axis}", unit) for name, unit in _MASS_CENTER_UNITS.items() for axis in AXES]
    hollow = [f"{branch}/{joint}" for branch in _COORDINATE_UNITS for joint, found in joints.items() if not found]
    return StateLayout(tuple(entries), (*hollow, "markers"))
