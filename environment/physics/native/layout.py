"""Names and units of the whole state of a model, as `opensim_reader.py` gives them for the same file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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


def continuous_places(model: BodyModel, layout: StateLayout) -> NDArray[np.intp]:
    """(2 D + 2 M,) where the engine's continuous numbers are in a state: the coordinates that are not locked, their
    speeds, activations, fibre lengths.
    """
    free = [f"{joint.name}/{one.name}" for joint in model.joints for one in joint.coordinates if not one.locked]
    names = [f"{branch}/{coordinate}" for branch in ("joint_pos", "joint_vel") for coordinate in free]
    names += [f"muscles/{muscle.name}/{leaf}" for leaf in ("activation", "fiber_length") for muscle in model.muscles]
    return np.array([layout.index[name] for name in names])


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
