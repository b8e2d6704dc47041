"""From curves to figures: how good at the end, how good on the way, and what of a difference is chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.bench.replay.rows import Bar, Row, row

LAST = 5
"""Evaluations at the end that count as final: a single one of a young policy moves a lot."""
CHANCE = 2.0
"""Standard errors of a difference that are taken for chance."""

Measure = Callable[[Sequence[float]], float]
"""Of a run's returns."""


@dataclass(frozen=True, slots=True)
class Values:
    """One number from each run."""

    each: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.each))

    @property
    def spread(self) -> float:
        """Standard deviation over the runs; 0 of a single one."""
        return float(np.std(self.each, ddof=1)) if len(self.each) > 1 else 0.0

    def chance(self, other: Values) -> float:
        """How far the means may come apart by chance."""
        variances = [one.spread**2 / len(one.each) for one in (self, other)]
        return CHANCE * float(np.sqrt(sum(variances)))


def final(returns: Sequence[float]) -> float:
    """Mean of the last evaluations."""
    return float(np.mean(returns[-LAST:]))


def on_the_way(returns: Sequence[float]) -> float:
    """Area under the curve divided by the steps: the mean of evaluations that lie equally far apart."""
    return float(np.mean(returns))


MEASURES: Mapping[str, Measure] = {"final return": final, "area under the curve": on_the_way}


def of(curves: Sequence[Mapping[str, Any]], task: str, learner: str) -> NDArray[np.float64]:
    """(runs, K) returns."""
    found = [one["returns"] for one in curves if (one["task"], one["learner"]) == (task, learner)]
    return np.array(found, np.float64)


def rows(
    curves: Sequence[Mapping[str, Any]], random: Mapping[str, float], learner: str, peer: str, *, judged: bool
) -> list[Row]:
    """Two rows of each task: `learner` beside `peer`.

    `ratio` is of what was gained over random actions: returns themselves may be negative, and 0 means nothing in them.
    `floor` is the peer's mean less chance, `goal` the peer's mean; not to reach the floor counts when `judged`.
    """
    found = []
    for task, nothing in random.items():
        for what, measure in MEASURES.items():
            mine, theirs = (_values(of(curves, task, name), measure) for name in (learner, peer))
            if mine is not None:
                found.append(_row(f"{task}, {what}, {learner}", mine, theirs, peer, nothing, judged=judged))
    return found


def _values(returns: NDArray[np.float64], measure: Measure) -> Values | None:
    return Values(tuple(measure(one) for one in returns)) if len(returns) else None


def _row(name: str, mine: Values, theirs: Values | None, peer: str, nothing: float, *, judged: bool) -> Row:
    bar = None if theirs is None or not judged else Bar(theirs.mean - mine.chance(theirs), theirs.mean)
    line = row(
        name,
        mine.mean,
        "return",
        peer=None if theirs is None else (peer, theirs.mean),
        bar=bar,
        spread=mine.spread,
        peer_mean=None if theirs is None else theirs.mean,
        peer_spread=None if theirs is None else theirs.spread,
        random=nothing,
        runs=float(len(mine.each)),
    )
    if theirs is not None:
        gained = theirs.mean - nothing
        line["ratio"] = (mine.mean - nothing) / gained if gained > 0 else None
    if bar is not None:
        line["within"] = mine.mean >= bar.floor
    return line
