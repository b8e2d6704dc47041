"""Names and units of the whole state of a model, as `opensim_reader.py` gives them for the same file."""

from __future__ import annotations

from environment.body_model import (
    GROUND,
    BodyModel,
    CoordinateLimitForce,
    Force,
    HuntCrossleyForce,
    Sphere,
    Thelen2003Muscle,
)
from environment.state import AXES, Entry, StateLayout

_COORDINATE_UNITS = {"joint_pos": ("rad", "m"), "joint_vel": ("rad/s", "m/s"), "joint_acc": ("rad/s^2", "m/s^2")}
_BODY_UNITS = {
    "body_pos": "m",
    "body_vel": "m/s",
    "body_acc": "m/s^2",
    "body_pos_rot": "rad",
    "body_vel_rot": "rad/s",
    "body_acc_rot": "rad/s^2",
}
_MUSCLE_UNITS = {"activation": "1", "fiber_length": "m", "fiber_velocity": "m/s", "fiber_force": "N"}
_MASS_CENTER_UNITS = {"mass_center_pos": "m", "mass_center_vel": "m/s", "mass_center_acc": "m/s^2"}


def state_layout(model: BodyModel) -> StateLayout:
    """Of the vectors that the engine gives for this model. Markers are left out, as in the OpenSim physics."""
    entries: list[Entry] = []
    hollow: list[str] = []
    for branch, units in _COORDINATE_UNITS.items():
        for joint in model.joints:
            path = f"{branch}/{joint.name}"
            if not joint.coordinates:
                hollow.append(path)
            for one in joint.coordinates:
                entries.append(Entry(f"{path}/{one.name}", units[0] if one.rotational else units[1]))
    for branch, unit in _BODY_UNITS.items():
        entries += [Entry(f"{branch}/{body.name}/{axis}", unit) for body in model.bodies for axis in AXES]
    for force in model.forces:
        entries += [Entry(f"forces/{force.name}/{leaf}", unit) for leaf, unit in _record(force)]
    for muscle in model.muscles:
        entries += [Entry(f"muscles/{muscle.name}/{leaf}", unit) for leaf, unit in _MUSCLE_UNITS.items()]
    for name, unit in _MASS_CENTER_UNITS.items():
        entries += [Entry(f"misc/{name}/{axis}", unit) for axis in AXES]
    return StateLayout(tuple(entries), (*hollow, "markers"))


def _record(force: Force) -> list[tuple[str, str]]:
    """Labels and units of a force's record, after OpenSim's; repeated ones are numbered."""
    if isinstance(force, Thelen2003Muscle):
        return [(force.name, "N")]
    if isinstance(force, CoordinateLimitForce):
        return [(force.name, "N·m"), ("PotentialEnergy", "J")]
    if isinstance(force, HuntCrossleyForce):
        found: list[tuple[str, str]] = []
        bodies = [one.body if isinstance(one, Sphere) else GROUND for one in force.geometry]
        for i, body in enumerate(bodies):
            repeat = f"#{bodies[: i + 1].count(body)}" if body in bodies[:i] else ""
            found += [(f"{body}.force.{axis.upper()}{repeat}", "N") for axis in AXES]
            found += [(f"{body}.torque.{axis.upper()}{repeat}", "N·m") for axis in AXES]
        return found
    return [(f"{force.name}_Force", "N·m")]
