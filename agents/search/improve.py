"""A better start for a policy, from the search to the scores that decide whether it is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agents.baselines import Score
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
Scores = Mapping[str, Score]
"""By the name of the integration, on the seeds that choose."""


@dataclass(frozen=True, slots=True)
class Improved:
    """A policy with a new start, and what speaks for it."""

    policy: Policy
    found: FoundStart
    before: Scores
    after: Scores

    @property
    def better(self) -> bool:
        """On both integrations: more points, and no more falls."""
        pairs = [(old, self.after[physics]) for physics, old in self.before.items()]
        return all(new.mean > old.mean and new.fall_rate <= old.fall_rate for old, new in pairs)

    def facts(self) -> Mapping[str, Any]:
        """For the provenance."""
        return {
            "led_decisions": len(self.found.offsets),
            "lost_in_the_start": {"before": self.found.lost_before, "searched": self.found.lost},
            "before": {physics: score.facts() for physics, score in self.before.items()},
            "after": {physics: score.facts() for physics, score in self.after.items()},
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
    before = _scores(policy, episodes, threads, stop)
    tell(f"before: {_text(before)}")

    def searched(point: Point) -> None:
        if point.generation % _STEPS == 0:
            tell(f"generation {point.generation}: {point.least:.1f} points lost in {searching.judged_s:g} s")

    found = search_start(policy, searching, threads=threads, tell=searched, stop=stop)
    _go_on(stop)
    tell(f"searched: {found.lost:.1f} points lost in {searching.judged_s:g} s, {found.lost_before:.1f} before")
    improved, fitted = distil(policy, found, distilling, threads=threads, stop=stop)
    _go_on(stop)
    tell(f"distilled: {fitted.text()}")
    after = _scores(improved, episodes, threads, stop)
    tell(f"after: {_text(after)}")
    return Improved(improved, found, before, after)


def _scores(policy: Policy, episodes: int, threads: int, stop: Callable[[], bool]) -> Scores:
    task, seeds = f"{body_of(policy.contract)}-round2", for_selection(episodes)
    found: dict[str, Score] = {}
    for settings in SETTINGS:
        played = score_natively(policy, seeds, task, settings, threads=threads, stop=stop)
        _go_on(stop)
        found[settings.name] = Score(
            seeds,
            tuple(one.episode_return for one in played),
            tuple(one.length for one in played),
            tuple(one.fell for one in played),
        )
    return found


def _text(scores: Scores) -> str:
    # To a tenth: what is gained is a few points, and one episode of 200 is half a percent.
    return "; ".join(
        f"{score.mean:,.1f} ± {score.spread:.1f}, {score.fall_rate:.1%} fell ({physics})"
        for physics, score in scores.items()
    )


def _go_on(stop: Callable[[], bool]) -> None:
    if stop():
        raise Stopped("stopped before the new start was scored; nothing was written")
