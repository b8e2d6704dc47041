"""States written by hand, and the same states turned about the vertical."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.state import StateLayout
from tests.fakes import FakePhysics

Array = NDArray[np.float64]

LAYOUT = FakePhysics().layout.with_target()
_TURNING = ("body_pos", "body_vel", "body_acc", "body_vel_rot", "body_acc_rot", "forces", "misc", "target_vel")
_PELVIS_PLACE = tuple(f"ground_pelvis/pelvis_t{axis}" for axis in "xyz")
_PELVIS_ANGLES = tuple(f"joint_pos/ground_pelvis/pelvis_{angle}" for angle in ("tilt", "list", "rotation"))


def standing(
    changes: dict[str, float] | None = None, *, target: tuple[float, float, float] = (1.25, 0.0, 0.0)
) -> Array:
    """(S,) the fake body's start with some entries changed by name."""
    state = np.concatenate((FakePhysics().reset(), target))
    for name, value in (changes or {}).items():
        state[LAYOUT.index[name]] = value
    return state


def about_x(angle_rad: float) -> Array:
    """(3, 3) rotation about x."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])


def about_y(angle_rad: float) -> Array:
    """(3, 3) rotation about y: positive turns forward (x) to the left (-z)."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])


def about_z(angle_rad: float) -> Array:
    """(3, 3) rotation about z."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def from_xyz(angles: Array) -> Array:
    """(3, 3) of OpenSim's body-fixed X, Y, Z angles."""
    return about_x(angles[0]) @ about_y(angles[1]) @ about_z(angles[2])


def to_xyz(rotation: Array) -> Array:
    """(3,) body-fixed X, Y, Z angles of a rotation."""
    return np.array(
        [
            np.arctan2(-rotation[1, 2], rotation[2, 2]),
            np.arcsin(rotation[0, 2]),
            np.arctan2(-rotation[0, 1], rotation[0, 0]),
        ]
    )


def to_pelvis_coordinates(rotation: Array) -> Array:
    """(3,) tilt, list, rotation of the models' pelvis joint: body-fixed Z, X, Y."""
    return np.array(
        [
            np.arctan2(-rotation[0, 1], rotation[1, 1]),
            np.arcsin(rotation[2, 1]),
            np.arctan2(-rotation[2, 0], rotation[2, 2]),
        ]
    )


def any_state(seed: int, layout: StateLayout = LAYOUT) -> Array:
    """(S,) random numbers everywhere, with the pelvis's joint coordinates fitting its angles."""
    state = np.random.default_rng(seed).normal(0.0, 0.4, layout.size)
    return turned(state, 0.0, layout)


def turned(state: NDArray[Any], yaw_rad: float, layout: StateLayout = LAYOUT) -> Array:
    """The same moment in a world turned about y: all ground vectors, body angles and the pelvis's joint coordinates."""
    turn = about_y(yaw_rad)
    result = np.array(state, dtype=np.float64)
    for branch in _TURNING:
        for stem in {name.rpartition("/")[0] for name in layout.names if name.startswith(branch + "/")}:
            where = layout.where(stem)
            result[where] = (turn @ result[where].reshape(-1, 3).T).T.reshape(-1)
    for kind in ("pos", "vel", "acc"):
        where = layout.where(*(f"joint_{kind}/{coordinate}" for coordinate in _PELVIS_PLACE))
        result[where] = turn @ result[where]
    for body in layout.children("body_pos_rot"):
        where = layout.where(f"body_pos_rot/{body}")
        rotation = turn @ from_xyz(result[where])
        result[where] = to_xyz(rotation)
        if body == "pelvis":
            result[layout.where(*_PELVIS_ANGLES)] = to_pelvis_coordinates(rotation)
    return result
