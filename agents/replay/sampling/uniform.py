"""Every transition alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.replay.ring import Ring
from agents.replay.sampling.contract import Drawn, Stateless, starts_only


@dataclass(frozen=True, kw_only=True)
class UniformConfig:
    """Nothing to set."""


class Uniform(Stateless):
    """Each transition held with the same chance, with replacement."""

    def __init__(self, ring: Ring, config: UniformConfig) -> None:
        self._ring = ring

    def draw(self, size: int, generator: np.random.Generator) -> Drawn:
        ring = self._ring
        number = starts_only(ring, size, lambda count: generator.integers(ring.first, ring.next, count))
        return Drawn(number, np.ones(size, np.float32))
