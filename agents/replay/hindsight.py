"""The same episodes as if another target had been asked for: the velocity that was reached is the one that was wanted.

After hindsight experience replay (Andrychowicz et al., arXiv 1707.01495), whose "final" goal is here the episode's mean
velocity: a walker that does not do yet what it is asked for learns from what it does.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from agents.replay.columns import Timesteps
from environment.state import TARGET_VELOCITY, StateLayout


class Hindsight:
    """Timesteps -> the same with each episode's mean pelvis velocity, along the ground, as its target throughout.

    Rewards stay as they were: they have to be computed anew from the states.
    """

    def __init__(self, layout: StateLayout) -> None:
        self._reached = layout.where("body_vel/pelvis/x", "body_vel/pelvis/z")
        self._asked = layout.where(f"{TARGET_VELOCITY}/x", f"{TARGET_VELOCITY}/z")

    def __call__(self, steps: Timesteps) -> Timesteps:
        state = np.array(steps.state)
        lengths = np.diff(np.append(steps.first, len(state)))
        sums = np.add.reduceat(state[:, self._reached].astype(np.float64), steps.first, axis=0)
        state[:, self._asked] = np.repeat(sums / lengths[:, None], lengths, axis=0)
        return dataclasses.replace(steps, state=state)
