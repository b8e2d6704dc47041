"""Body models that are small enough to know what they must do, and the engine asked about them at given states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from environment.body_model import (
    GROUND,
    Axis,
    Body,
    BodyModel,
    Constant,
    Coordinate,
    FixedPoint,
    Force,
    Frame,
    Function,
    Inertia,
    Joint,
    Linear,
    PathPoint,
    Thelen2003Muscle,
    Vector3,
)
from environment.physics.native.engine import Engine
from environment.physics.native.settings import NativeSettings

Array = NDArray[np.float64]

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
ORIGIN = (0.0, 0.0, 0.0)
GRAVITY = 9.80665


def body(name: str, mass_kg: float = 1.0, center_m: Vector3 = ORIGIN, inertia: Inertia = (1, 1, 1, 0, 0, 0)) -> Body:
    return Body(name, mass_kg, center_m, inertia)


def coordinate(
    name: str, default: float = 0.0, *, locked: bool = False, range_: tuple[float, float] = (-9.0, 9.0)
) -> Coordinate:
    return Coordinate(name, True, default, 0.0, locked, range_)


def along(direction: Vector3, name: str | None, function: Function | None = None) -> Axis:
    """An axis that follows a coordinate, or `function` of it."""
    return Axis(direction, name, function or Linear(1.0, 0.0))


def joint(
    parent: Frame | str,
    child: Frame | str,
    coordinates: Sequence[Coordinate] = (),
    *,
    turns: Sequence[Axis] = (),
    moves: Sequence[Axis] = (),
) -> Joint:
    """A joint with up to three axes of each kind; the others do nothing."""
    one = Frame(parent) if isinstance(parent, str) else parent
    other = Frame(child) if isinstance(child, str) else child
    idle = [Axis(direction, None, Constant(0.0)) for direction in (X, Y, Z)]
    rotations, translations = [*turns, *idle[len(turns) :]], [*moves, *idle[len(moves) :]]
    return Joint(
        f"to_{other.body}",
        "CustomJoint",
        one,
        other,
        tuple(coordinates),
        (rotations[0], rotations[1], rotations[2]),
        (translations[0], translations[1], translations[2]),
    )


def pin(parent: Frame | str, child: Frame | str, name: str) -> Joint:
    """Turns about z."""
    return joint(parent, child, [coordinate(name)], turns=[along(Z, name)])


def slider(child: str, name: str, direction: Vector3 = X) -> Joint:
    """Moves along one axis of ground."""
    return joint(GROUND, child, [coordinate(name)], moves=[along(direction, name)])


def floating(child: str) -> Joint:
    """Six coordinates, as the pelvis has them: tilt, list, rotation, and the place in ground."""
    names = [f"{child}_{name}" for name in ("tilt", "list", "rotation", "tx", "ty", "tz")]
    turns = [along(direction, name) for direction, name in zip((Z, X, Y), names[:3], strict=True)]
    moves = [along(direction, name) for direction, name in zip((X, Y, Z), names[3:], strict=True)]
    return joint(GROUND, child, [coordinate(name) for name in names], turns=turns, moves=moves)


def model(
    bodies: Sequence[Body],
    joints: Sequence[Joint],
    forces: Sequence[Force] = (),
    gravity: Vector3 = (0.0, -GRAVITY, 0.0),
) -> BodyModel:
    return BodyModel("small", "0" * 64, gravity, tuple(bodies), tuple(joints), tuple(forces))


def muscle(name: str, path: Sequence[PathPoint], **changes: float) -> Thelen2003Muscle:
    """OpenSim's defaults, with round numbers for the rest."""
    values: dict[str, float] = {
        "max_isometric_force_n": 1000.0,
        "optimal_fiber_length_m": 0.1,
        "tendon_slack_length_m": 0.2,
        "pennation_angle_rad": 0.0,
        "max_contraction_velocity_per_s": 15.0,
        "activation_time_s": 0.01,
        "deactivation_time_s": 0.04,
        "fmax_tendon_strain": 0.033,
        "fmax_muscle_strain": 0.6,
        "kshape_active": 0.45,
        "kshape_passive": 5.0,
        "af": 0.25,
        "flen": 1.4,
        "fv_linear_extrapolation_threshold": 0.95,
        "maximum_pennation_angle_rad": float(np.arccos(0.1)),
        "minimum_activation": 0.01,
        "default_activation": 0.05,
    }
    return Thelen2003Muscle(name, tuple(path), **{**values, **changes})


def between(one: str, other: str) -> list[PathPoint]:
    """A path from one body's origin to another's."""
    return [FixedPoint("start", one, ORIGIN), FixedPoint("end", other, ORIGIN)]


class Answers:
    """What the engine says at several states (n, 2 D + 2 M) at once."""

    def __init__(self, of: BodyModel, y: ArrayLike, excitation: ArrayLike = 0.0, *, skip_contacts: bool = True) -> None:
        states = np.atleast_2d(np.asarray(y, float))
        self.engine = Engine(of, NativeSettings(skip_contacts=skip_contacts), len(states))
        self.engine.bodies.y[:] = states
        self.engine.bodies.excitation[:] = np.asarray(excitation)
        self.engine.advance(0.0)
        self.y = states
        self.rates: Array = self.engine.bodies.ydot
        self._state: Array = self.engine.bodies.state

    @property
    def accelerations(self) -> Array:
        """(n, D)"""
        dofs = len(self.engine.tables.skeleton.dof_link)
        return self.rates[:, dofs : 2 * dofs]

    def of(self, *branches: str) -> Array:
        """(n, k) numbers of the state vector."""
        return self._state[:, self.engine.layout.where(*branches)]


def random_rows(numbers: int, rows: int = 24, scale: float = 1.0, seed: int = 0) -> Array:
    """(rows, numbers) states of a model without muscles."""
    return np.random.default_rng(seed).normal(0.0, scale, (rows, numbers))
