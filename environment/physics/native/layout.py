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
from environment.physics.full_layout import full_layout
from environment.state import AXES, StateLayout


def state_layout(model: BodyModel) -> StateLayout:
    """Of the vectors that the engine gives for this model."""
    return full_layout(
        {joint.name: [(one.name, one.rotational) for one in joint.coordinates] for joint in model.joints},
        [body.name for body in model.bodies],
        [(force.name, label, unit) for force in model.forces for label, unit in _record(force)],
        [muscle.name for muscle in model.muscles],
    )


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
