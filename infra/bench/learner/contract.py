"""What a learner is for the benchmark: something that does so many updates, each on a batch it samples itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

GAMMA = 0.99
TAU = 0.005
LEARNING_RATE = 3e-4
POLICY_DELAY = 2
TARGET_NOISE = 0.2
NOISE_CLIP = 0.5

_FEED = 10_000
"""Transitions made at a time."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is learned from, and by which networks."""

    batch: int
    observation_size: int
    hidden: tuple[int, ...]
    transitions: int = 50_000
    """In the buffer."""
    action_size: int = 19
    device: str = "cpu"

    @property
    def name(self) -> str:
        """For the table."""
        widths = "-".join(str(width) for width in self.hidden)
        return f"batch {self.batch:,}, observation {self.observation_size:,}, networks {widths}"

    @property
    def piece(self) -> int:
        """Updates done at a time, whole pairs of a critics' and an actor's: enough to hide what calling costs."""
        return 10 if self.batch < 1000 else POLICY_DELAY

    def content(self) -> Iterator[dict[str, Float32]]:
        """All transitions, (K, width) columns of some at a time: observations about normal, actions in [-1, 1]."""
        generator = np.random.default_rng(1)
        for begin in range(0, self.transitions, _FEED):
            count = min(_FEED, self.transitions - begin)
            seen = generator.standard_normal((2, count, self.observation_size), dtype=np.float32)
            yield {
                "observation": seen[0],
                "action": generator.uniform(-1, 1, (count, self.action_size)).astype(np.float32),
                "reward": generator.standard_normal((count, 1), dtype=np.float32),
                "next_observation": seen[1],
                "done": (generator.random((count, 1)) < 0.01).astype(np.float32),
            }


Update = Callable[[int], None]
"""Does so many updates."""

Build = Callable[[Case], Update]
"""Makes the learner and fills its memory. Raises: ImportError when its package is not here."""
