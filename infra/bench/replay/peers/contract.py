"""What a peer is for the benchmark: a function that draws a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

Draw = Callable[[int], Mapping[str, Any]]
"""Batch size -> its `observation`, `action`, `reward`, `next_observation` and `done`, as the peer hands them over."""

FEED = 10_000
"""Transitions made at a time."""


class PeerMissing(RuntimeError):
    """A peer can not be measured here. Says why."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a peer holds."""

    observation_size: int
    action_size: int
    transitions: int

    @classmethod
    def within(cls, memory_bytes: float, observation_size: int, action_size: int, most: int) -> Shape:
        """As many transitions as fit, `most` of them at most; every peer keeps both observations of each."""
        each = 4 * (2 * observation_size + action_size + 2)
        return cls(observation_size, action_size, max(1, min(most, int(memory_bytes / each))))

    @property
    def widths(self) -> dict[str, int]:
        """Numbers of a transition, by name."""
        seen = self.observation_size
        return {"observation": seen, "action": self.action_size, "reward": 1, "next_observation": seen, "done": 1}

    def content(self) -> Iterator[dict[str, Float32]]:
        """All transitions, (K, width) arrays of some at a time."""
        generator = np.random.default_rng(1)
        made = {name: generator.random((FEED, width), dtype=np.float32) for name, width in self.widths.items()}
        made["done"][:] = 0.0
        for begin in range(0, self.transitions, FEED):
            yield {name: column[: self.transitions - begin] for name, column in made.items()}


Build = Callable[[Shape], Draw]
"""Makes the peer and fills it. Raises: ImportError, PeerMissing."""
