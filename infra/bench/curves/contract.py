"""What everyone who learns is given, and what they give back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

Act = Callable[[Float32], Float32]
"""(B, O) observations -> (B, M) actions in [-1, 1], without noise."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A Gymnasium task and how much of it is played."""

    name: str
    steps: int
    """Of the environment, in all."""
    evaluate_every: int
    """Steps between two evaluations."""

    @property
    def marks(self) -> list[int]:
        """Steps after which the policy is evaluated."""
        return list(range(self.evaluate_every, self.steps + 1, self.evaluate_every))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The same for everyone. Batch, learning rate and noise are the TD3 paper's, the networks smaller."""

    hidden: tuple[int, ...] = (128, 128)
    batch: int = 100
    learning_rate: float = 1e-3
    """Of actor and critics."""
    gamma: float = 0.99
    """Per step of the environment."""
    tau: float = 0.005
    policy_delay: int = 2
    target_noise: float = 0.2
    noise_clip: float = 0.5
    exploration_noise: float = 0.1
    """Deviation of the Gaussian noise, in [-1, 1] action units."""
    learning_starts: int = 1000
    """Steps of uniformly random actions, before which nothing is learned. After them every episode is followed by as
    many updates as it had steps."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """How one run went."""

    steps: tuple[int, ...]
    """(K,) of the environment, at each evaluation."""
    returns: tuple[float, ...]
    """(K,) mean over the evaluation's episodes, undiscounted."""
    updates: int
    """Of the critics, in all."""
    seconds: float
    """Of the whole run, evaluations included."""


Learn = Callable[[Task, Setting, int], Curve]
"""Learns a task from nothing with a seed. Raises: ImportError when a package is not here."""
