"""Learning rates that change over a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Decay = Literal["constant", "linear", "cosine", "exponential"]
DECAYS: tuple[Decay, ...] = ("constant", "linear", "cosine", "exponential")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """By what the learning rates of actor and critics are multiplied: warm-up, then decay, then `final` for good, or
    until they begin anew ("warm restarts", Loshchilov and Hutter, arXiv 1608.03983).

    It depends on the number of updates alone, so a resumed run goes on exactly.
    """

    warmup_updates: int = 0
    """The rates rise to their full size in so many equal steps; 0: they start with it."""
    decay: Decay = "constant"
    """How they fall after that. `exponential` falls by the same factor at every update."""
    decay_updates: int | None = None
    """Over so many updates; of every decay but `constant`."""
    final: float = 0.1
    """What is left of the rates after the decay. With 0 nothing is learned from then on; above 1 they grow."""
    restart_updates: int | None = None
    """After so many updates, and so many more, warm-up and decay begin anew; None: never."""

    def __post_init__(self) -> None:
        if self.decay not in DECAYS:
            raise ValueError(f"decay is {self.decay!r}, needed one of {', '.join(DECAYS)}")
        if self.warmup_updates < 0:
            raise ValueError(f"warmup_updates is {self.warmup_updates}, needed 0 or more")
        if self.decay == "constant" and self.decay_updates is not None:
            raise ValueError(f"decay_updates is {self.decay_updates}, but a constant rate does not decay; name a decay")
        if self.decay != "constant" and (self.decay_updates is None or self.decay_updates < 1):
            raise ValueError(f"decay_updates is {self.decay_updates}, a {self.decay} decay needs at least 1")
        if not 0 <= self.final < math.inf or (self.final == 0 and self.decay == "exponential"):
            raise ValueError(f"final is {self.final}, needed 0 or more, and above 0 for an exponential decay")
        if self.restart_updates is not None:
            self._check_restarts(self.restart_updates)

    def _check_restarts(self, every: int) -> None:
        if self.decay_updates is None:
            raise ValueError(f"restart_updates is {every}, but a constant rate has nothing to begin anew; name a decay")
        if every < self.warmup_updates + self.decay_updates:
            raise ValueError(
                f"restart_updates is {every}, needed at least {self.warmup_updates + self.decay_updates}: the "
                f"{self.warmup_updates} of the warm-up and the {self.decay_updates} of the decay"
            )

    def factor(self, updates: int) -> float:
        """For the update after so many."""
        if self.restart_updates is not None:
            updates %= self.restart_updates
        if updates < self.warmup_updates:
            return (updates + 1) / self.warmup_updates
        if self.decay_updates is None:
            return 1.0
        progress = min((updates - self.warmup_updates) / self.decay_updates, 1.0)
        match self.decay:
            case "exponential":
                return float(self.final**progress)
            case "cosine":
                progress = (1 - math.cos(math.pi * progress)) / 2
        return 1.0 + (self.final - 1.0) * progress
