"""Surprising transitions more often (Schaul et al., arXiv 1511.05952, proportional form)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.replay.ring import Ring
from agents.replay.sampling.contract import Drawn, Float32, Integers
from agents.replay.sampling.sum_tree import SumTree

_FIRST_PRIORITY = 1.0


@dataclass(frozen=True, kw_only=True)
class PrioritisedConfig:
    """The paper's numbers."""

    alpha: float = 0.6
    """0 is uniform, 1 is in proportion to the error."""
    beta: float = 0.4
    """How much of the bias the weights take back at first, 0 to 1 …"""
    beta_until: int = 1_000_000
    """… and after so many batches they take back all of it."""
    least_error: float = 1e-6
    """Added to every error, so that nothing is never drawn again."""

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1 or not 0 <= self.beta <= 1:
            raise ValueError(f"alpha={self.alpha} and beta={self.beta} must be in [0, 1]")
        if self.beta_until < 1 or not self.least_error > 0:
            raise ValueError(
                f"beta_until={self.beta_until} must be at least 1 and least_error={self.least_error} positive"
            )


class Prioritised:
    """P(i) proportional to (error + least)^alpha; weights (N P(i))^-beta over their largest in the batch.

    What has never been drawn has the largest priority seen so far, so that it is drawn soon.
    """

    def __init__(self, ring: Ring, config: PrioritisedConfig) -> None:
        self._ring, self._config = ring, config
        self._tree = SumTree(ring.capacity)
        self._largest = _FIRST_PRIORITY
        self._batches = 0
        self._first = ring.first
        """Points before this one are no longer in the tree."""

    def entered(self, first: int) -> None:
        ring = self._ring
        self._tree.set(ring.place(np.arange(self._first, ring.first)), 0.0)
        self._first = ring.first
        number = np.arange(max(first, ring.first), ring.next)
        self._tree.set(ring.place(number), np.where(ring.starts(number), self._largest, 0.0))

    def draw(self, size: int, generator: np.random.Generator) -> Drawn:
        ring, total = self._ring, self._tree.total
        # One draw from each of `size` equal shares, as in the paper's appendix.
        mass = (np.arange(size) + generator.random(size)) / size * total
        place = self._tree.find(mass)
        chance = self._tree.values(place) / total
        weight = (ring.transitions * chance) ** -self._beta()
        self._batches += 1
        return Drawn(ring.first + (place - ring.first) % ring.capacity, (weight / weight.max()).astype(np.float32))

    def learned(self, number: Integers, td_error: Float32) -> None:
        priority = (np.abs(td_error.astype(np.float64)) + self._config.least_error) ** self._config.alpha
        if not np.isfinite(priority).all():
            raise ValueError("errors that are not finite can not be priorities; has the critic diverged?")
        priority = priority.astype(np.float32).astype(np.float64)  # as `state_dict` keeps them
        here = number >= self._ring.first
        self._tree.set(self._ring.place(number[here]), priority[here])
        self._largest = max(self._largest, float(priority.max(initial=0.0)))

    def state_dict(self) -> dict[str, NDArray[Any]]:
        ring = self._ring
        begin = ring.first % ring.capacity
        end = begin + ring.next - ring.first
        # Whole stretches: a learner stands still for this, and a million places one by one take ten times as long.
        stretches = slice(begin, min(end, ring.capacity)), slice(0, max(0, end - ring.capacity))
        pieces = [self._tree.values(stretch) for stretch in stretches]
        return {
            "priorities": np.concatenate(pieces, dtype=np.float32, casting="same_kind"),
            "largest": np.array([self._largest]),
            "batches": np.array([self._batches]),
        }

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        if "priorities" not in state:
            return  # trained with another way to sample until now: all are new to this one
        ring, kept = self._ring, state["priorities"]
        number = np.arange(max(ring.first, ring.next - len(kept)), ring.next)
        self._tree.set(ring.place(number), kept[len(kept) - len(number) :])
        self._largest = float(state["largest"][0])
        self._batches = int(state["batches"][0])

    def _beta(self) -> float:
        done = min(1.0, self._batches / self._config.beta_until)
        return self._config.beta + done * (1.0 - self._config.beta)
