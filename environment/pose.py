"""Directions read off states: the pelvis's yaw, and vectors turned into its frame. Works on one state and on batches."""

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
        a, b = states[..., self._angles[0]], states[..., self._angles[1]]
        return np.arctan2(np.sin(b), np.cos(a) * np.cos(b))


def into_yaw_frame(vectors: Array, yaw_rad: Array) -> Array:
    """Ground vectors (..., 3) in the frame turned by `yaw_rad` (...,) about the vertical: x ahead, y up, z right."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.stack((cos * x - sin * z, y, sin * x + cos * z), axis=-1)
