"""Newer transitions more often: the chance halves with every so many that came after."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agents.replay.ring import Ring
from agents.replay.sampling.contract import Drawn, Integers, Stateless, starts_only


@dataclass(frozen=True, kw_only=True)
class RecencyConfig:
    """How fast the past fades."""

    half_life: float = 200_000.0
    """Transitions after which one is drawn half as often."""

    def __post_init__(self) -> None:
        if not 0 < self.half_life < math.inf:
            raise ValueError(f"half_life={self.half_life} must be a positive number of transitions")


class Recency(Stateless):
    """P(i) proportional to 2^(-i / half_life), i transitions before the newest. Weights stay 1: the bias is meant."""

    def __init__(self, ring: Ring, config: RecencyConfig) -> None:
        self._ring = ring
        self._rate = math.log(2.0) / config.half_life

    def draw(self, size: int, generator: np.random.Generator) -> Drawn:
        ring = self._ring
        held = ring.next - ring.first
        # Inverse of the distribution function of a geometric distribution that ends with the oldest point.
        reach = -math.expm1(-self._rate * held)

        def draw(count: int) -> Integers:
            back = np.log1p(-reach * generator.random(count)) / -self._rate
            # Rounding may reach one point too far.
            return ring.next - 1 - np.minimum(back.astype(np.int64), held - 1)

        return Drawn(starts_only(ring, size, draw), np.ones(size, np.float32))
