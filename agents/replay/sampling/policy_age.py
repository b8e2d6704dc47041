"""Transitions of newer policies more often: the chance halves with every so many versions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.replay.ring import Ring
from agents.replay.sampling.contract import Drawn, Float32, Integers
from agents.replay.sampling.sum_tree import SumTree

_MOST_DOUBLINGS = 100.0
"""Before the values in the tree are written anew, far from where a sum of floats loses the small ones for good."""


@dataclass(frozen=True, kw_only=True)
class PolicyAgeConfig:
    """How fast old policies are forgotten."""

    half_life_versions: float = 10.0
    """Versions after which a policy's transitions are drawn half as often."""

    def __post_init__(self) -> None:
        if not 0 < self.half_life_versions < math.inf:
            raise ValueError(f"half_life_versions={self.half_life_versions} must be a positive number of versions")


class PolicyAge:
    """P(i) proportional to 2^(version(i) / half_life). Weights stay 1: the bias is meant."""

    def __init__(self, ring: Ring, config: PolicyAgeConfig) -> None:
        self._ring, self._half_life = ring, config.half_life_versions
        self._tree = SumTree(ring.capacity)
        self._reference = 0
        """Version whose transitions have the value 1."""
        self._first = ring.first

    def entered(self, first: int) -> None:
        ring = self._ring
        self._tree.set(ring.place(np.arange(self._first, ring.first)), 0.0)
        self._first = ring.first
        number = np.arange(max(first, ring.first), ring.next)
        newest = int(ring.policy_version[ring.place(number)].max(initial=self._reference))
        if newest - self._reference > _MOST_DOUBLINGS * self._half_life:
            self._reference = newest
            number = np.arange(ring.first, ring.next)
        place = ring.place(number)
        value = np.exp2((ring.policy_version[place] - self._reference) / self._half_life)
        self._tree.set(place, np.where(ring.starts(number), value, 0.0))

    def draw(self, size: int, generator: np.random.Generator) -> Drawn:
        place = self._tree.find(generator.random(size) * self._tree.total)
        number = self._ring.first + (place - self._ring.first) % self._ring.capacity
        return Drawn(number, np.ones(size, np.float32))

    def learned(self, number: Integers, td_error: Float32) -> None:
        """Errors do not matter."""

    def state_dict(self) -> dict[str, NDArray[Any]]:
        return {"reference": np.array([self._reference])}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        if "reference" in state:
            self._reference = int(state["reference"][0])
            self.entered(self._ring.first)
