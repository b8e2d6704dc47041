"""A better start for a policy, from the search to the scores that decide whether it is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from agents.evaluator import Stopped
from agents.official.native import score_natively
from agents.official.rules import ACCURATE, AS_OSIM_RL, body_of
from agents.official.seeds import for_selection
from agents.policy import Policy
from agents.search.distil import DistilConfig, distil
from agents.search.start import FoundStart, Point, StartConfig, search_start

_STEPS = 100
"""Points of a curve between two lines of progress."""
SETTINGS = (AS_OSIM_RL, ACCURATE)
"""Both have to find the new policy better: one alone can be lived on."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Of a policy by one integration, on the seeds that choose."""

    physics: str
    mean: float
    spread: float
    fall_rate: float

    def text(self) -> str:
        """For people."""
        return f"{self.mean:,.1f} ± {self.spread:.1f}, {self.fall_rate:.1%} fell ({self.physics})"


@dataclass(frozen=True, slots=True)
class Improved:
    """A policy with a new start, and what speaks for it."""

    policy: Policy
    found: FoundStart
    before: Sequence[Standing]
    after: Sequence[Standing]

    @property
    def better(self) -> bool:
        """On both integrations: more points, and no more falls."""
        pairs = zip(self.before, self.after, strict=True)
        return all(new.mean > old.mean and new.fall_rate <= old.fall_rate for old, new in pairs)

    def facts(self) -> Mapping[str, Any]:
        """For the provenance."""
        return {
            "led_decisions": len(self.found.offsets),
            "lost_in_the_start": {"before": self.found.lost_before, "searched": self.found.lost},
            "before": [asdict(one) for one in self.before],
            "after": [asdict(one) for one in self.after],
        }


def improve_start(
    policy: Policy,
    searching: StartConfig,
    distilling: DistilConfig,
    *,
    episodes: int,
    threads: int,
    tell: Callable[[str], None],
    stop: Callable[[], bool],
) -> Improved:
    """Searches, distils and scores; `episodes` on each integration.

    Raises: Stopped when told to before the scores are whole; PolicyMismatch, ValueError, FloatingPointError.
    """
    before = _standings(policy, episodes, threads, stop)
    tell("before: " + "; ".join(one.text() for one in before))

    def searched(point: Point) -> None:
        if point.generation % _STEPS == 0:
            tell(f"generation {point.generation}: {point.least:.1f} points lost in {searching.judged_s:g} s")

    found = search_start(policy, searching, threads=threads, tell=searched, stop=stop)
    _go_on(stop)
    tell(f"searched: {found.lost:.1f} points lost in {searching.judged_s:g} s, {found.lost_before:.1f} before")
    improved, fitted = distil(policy, found, distilling, threads=threads, stop=stop)
    _go_on(stop)
    tell(f"distilled: {fitted.text()}")
    after = _standings(improved, episodes, threads, stop)
    tell("after: " + "; ".join(one.text() for one in after))
    return Improved(improved, found, before, after)


def _standings(policy: Policy, episodes: int, threads: int, stop: Callable[[], bool]) -> list[Standing]:
    task, seeds = f"{body_of(policy.contract)}-round2", for_selection(episodes)
    found = []
    for settings in SETTINGS:
        scores = score_natively(policy, seeds, task, settings, threads=threads, stop=stop)
        _go_on(stop)
        returns = [score.episode_return for score in scores]
        falls = float(np.mean([score.fell for score in scores]))
        found.append(Standing(settings.name, float(np.mean(returns)), float(np.std(returns)), falls))
    return found


def _go_on(stop: Callable[[], bool]) -> None:
    if stop():
        raise Stopped("stopped before the new start was scored; nothing was written")
