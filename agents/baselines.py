"""The scores that a score means nothing without, on the same seeds: random, standing still, walking blind.

Standing and blind walking are ideals, computed from the reward itself: a body that stands for the whole episode without
effort, and one that goes straight ahead at the first target's speed from the first step. They are upper bounds of what
those behaviours can earn. The random baseline is simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from environment.prosthetics import ProstheticsEnv
from environment.rewards import TASK_REWARDS
from environment.state import TARGET_VELOCITY


@dataclass(frozen=True, slots=True)
class Score:
    """Returns of several episodes, one per seed."""

    seeds: tuple[int, ...]
    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    """Control steps."""
    falls: tuple[bool, ...]
    """Those that terminated."""

    @property
    def mean(self) -> float:
        return float(np.mean(self.returns))

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds."""
        return float(np.std(self.returns))

    @property
    def fall_rate(self) -> float:
        return float(np.mean(self.falls))

    def facts(self) -> dict[str, object]:
        """For documents and summaries."""
        return {
            "episodes": len(self.seeds),
            "mean": self.mean,
            "spread": self.spread,
            "fall_rate": self.fall_rate,
            "mean_length": float(np.mean(self.lengths)),
            "seeds": list(self.seeds),
            "returns": list(self.returns),
        }


def standing(environment: ProstheticsEnv, seeds: Sequence[int]) -> Score:
    """An effortless statue that never falls."""
    return _ideal(environment, seeds, walks=False)


def blind_walking(environment: ProstheticsEnv, seeds: Sequence[int]) -> Score:
    """Straight ahead at the first target's velocity, whatever is asked later."""
    return _ideal(environment, seeds, walks=True)


def _ideal(environment: ProstheticsEnv, seeds: Sequence[int], *, walks: bool) -> Score:
    layout, task = environment.layout, environment.task
    reward = TASK_REWARDS[task.reward](layout)
    velocity, target = layout.where("body_vel/pelvis"), layout.where(TARGET_VELOCITY)
    steps = environment.time_limit_steps
    returns = []
    for seed in seeds:
        targets: NDArray[np.float64] = task.schedule(seed, task.time_limit_steps)
        states = np.zeros((steps, layout.size))
        states[:, target] = targets[1 : steps + 1]
        states[:, velocity] = targets[0] if walks else 0.0
        returns.append(float(sum(values.sum() for values in reward.evaluate(states).values())))
    count = len(seeds)
    return Score(tuple(seeds), tuple(returns), (steps,) * count, (False,) * count)
