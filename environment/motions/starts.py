"""Starts in the states of motions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from environment.motions.motion import Motion
from environment.starts import Start
from environment.state import StateLayout


class MotionStarts:
    """Implements `StartSource`: any row of any motion, all alike."""

    def __init__(self, layout: StateLayout, motions: Sequence[Motion], slow_share: float = 0.0) -> None:
        """In `slow_share` of the starts all speeds are scaled by one number drawn from 0..1: there is much to find out
        between standing and moving."""
        self._speeds = layout.where("joint_vel")
        self._motions, self._slow_share = motions, slow_share
        self._first = np.cumsum([0, *(len(motion.times_s) for motion in motions)])

    def draw(self, generator: np.random.Generator, pose: NDArray[np.float64]) -> Start:
        row = int(generator.integers(self._first[-1]))
        number = int(np.searchsorted(self._first, row, side="right")) - 1
        motion, row = self._motions[number], row - int(self._first[number])
        scale = float(generator.random()) if generator.random() < self._slow_share else 1.0
        state = motion.states[row].copy()
        state[self._speeds] *= scale
        return Start(
            state, {"kind": "motion", "motion": motion.name, "time_s": float(motion.times_s[row]), "scale": scale}
        )
