"""Where the feet are and what they carry, read off states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.osim_file import read_model
from environment.physics.models import model_path
from environment.state import StateLayout

Float64 = NDArray[np.float64]
Array = NDArray[Any]

LEGS = ("right", "left")
_GRAVITY_M_PER_S2 = 9.80665
_INTACT_HEEL_M, _PROSTHETIC_HEEL_M = (0.03, 0.02, 0.0), (-0.01877, -0.02195, 0.0)
"""Centres of the heels' contact spheres in the frame of the foot, as the challenge's models have them. The origins of
the two feet lie 5 cm apart along them, so steps from one to the other would look lame."""


@dataclass(frozen=True, slots=True)
class _Foot:
    body: str
    force: str
    heel_m: tuple[float, float, float]


_KNOWN: Mapping[str, tuple[_Foot, ...]] = {
    "right": (_Foot("pros_foot_r", "pros_foot_r", _PROSTHETIC_HEEL_M), _Foot("calcn_r", "foot_r", _INTACT_HEEL_M)),
    "left": (_Foot("calcn_l", "foot_l", _INTACT_HEEL_M),),
}


def body_weight_n(model: str) -> float:
    """Of a model by its key in `environment.physics.models.MODELS`. Raises: FileNotFoundError without model files."""
    return _GRAVITY_M_PER_S2 * sum(body.mass_kg for body in read_model(model_path(model)).bodies)


class Feet:
    """Both feet of one of the challenge's bodies."""

    def __init__(self, layout: StateLayout) -> None:
        """Raises: ValueError when the states tell of no feet that are known here."""
        self._load, self._place, self._angles = {}, {}, {}
        self._heel: dict[str, Float64] = {}
        for leg in LEGS:
            foot = next((one for one in _KNOWN[leg] if f"forces/{one.force}/ground.force.Y" in layout.index), None)
            if foot is None or f"body_pos/{foot.body}/x" not in layout.index:
                raise ValueError(f"these states tell of no {leg} foot; a gait card needs a body of the challenge")
            self._load[leg] = layout.index[f"forces/{foot.force}/ground.force.Y"]
            self._place[leg] = layout.where(f"body_pos/{foot.body}")
            self._angles[leg] = layout.where(f"body_pos_rot/{foot.body}")
            self._heel[leg] = np.array(foot.heel_m)

    def load_n(self, states: Array, leg: str) -> Float64:
        """(T,) vertical force of the ground on a foot, upward positive."""
        # OpenSim records what the foot does to the ground.
        return -states[:, self._load[leg]].astype(np.float64)

    def heel_m(self, states: Array, leg: str) -> Float64:
        """(T, 3) where the heel is: forward x, up y, right z, in ground axes."""
        turned = _turned(states[:, self._angles[leg]].astype(np.float64), self._heel[leg])
        return states[:, self._place[leg]].astype(np.float64) + turned


def _turned(angles_rad: Float64, point: Float64) -> Float64:
    """Rx(a) Ry(b) Rz(c) point, (T, 3) of body-fixed angles (T, 3)."""
    (sin_a, sin_b, sin_c), (cos_a, cos_b, cos_c) = np.sin(angles_rad.T), np.cos(angles_rad.T)
    x, y, z = point
    x, y = cos_c * x - sin_c * y, sin_c * x + cos_c * y
    x, z = cos_b * x + sin_b * z, cos_b * z - sin_b * x
    y, z = cos_a * y - sin_a * z, sin_a * y + cos_a * z
    return np.stack((x, y, z), axis=-1)
