"""Directions read off states: where the pelvis faces, how it tilts, vectors in its frame. One state or a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.state import StateLayout

Array = NDArray[Any]


class PelvisYaw:
    """Where the pelvis faces, seen from above; 0 faces along ground x, positive turns to the left (about y)."""

    def __init__(self, layout: StateLayout) -> None:
        self._angles = layout.where("body_pos_rot/pelvis")

    def __call__(self, states: Array) -> Array:
        """(...,) rad of states (..., S).

        Read off the pelvis's lateral axis, which stays level when the trunk tilts forward. OpenSim's angles are
        body-fixed X, Y, Z, so that axis is Rx(a) Ry(b) z = (sin b, -sin a cos b, cos a cos b).
        """
        return pelvis_attitude(_by_angle(states, self._angles))[0]


class PelvisTilt:
    """How the pelvis tilts (positive backward) and lists (positive to the right), seen from where it faces.

    Not the coordinates pelvis_tilt and pelvis_list: those turn about ground axes before the pelvis turns to its
    heading, so a walker facing sideways lists where it means to tilt. With no yaw and no list the tilt equals the
    coordinate.
    """

    def __init__(self, layout: StateLayout) -> None:
        self._angles = layout.where("body_pos_rot/pelvis")

    def __call__(self, states: Array) -> Array:
        """(..., 2) rad of states (..., S): tilt, list.

        Read off the vertical as the pelvis sees it, row y of Rx(a) Ry(b) Rz(c), which no turn about y changes.
        """
        return np.stack(pelvis_attitude(_by_angle(states, self._angles))[1:], axis=-1)


def pelvis_attitude(angles_rad: Array) -> tuple[Array, Array, Array]:
    """Yaw, tilt and list (...,) of the pelvis's angles (3, ...), see `PelvisYaw` and `PelvisTilt`."""
    (sin_a, sin_b, sin_c), (cos_a, cos_b, cos_c) = np.sin(angles_rad), np.cos(angles_rad)
    both = sin_a * sin_b
    tilt = np.arctan2(cos_a * sin_c + both * cos_c, cos_a * cos_c - both * sin_c)
    return np.arctan2(sin_b, cos_a * cos_b), tilt, np.arcsin(sin_a * cos_b)


def _by_angle(states: Array, angles: NDArray[np.intp]) -> Array:
    # Side by side: the sines of numbers that lie apart are slower, and may have other last digits.
    return np.ascontiguousarray(np.moveaxis(states[..., angles], -1, 0))


def into_yaw_frame(vectors: Array, yaw_rad: Array) -> Array:
    """Ground vectors (..., 3) in the frame turned by `yaw_rad` (...,) about the vertical: x ahead, y up, z right."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.stack((cos * x - sin * z, y, sin * x + cos * z), axis=-1)
