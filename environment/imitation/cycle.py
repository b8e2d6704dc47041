"""The cycle of a motion: from which row to which it can be repeated without a jump."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

LARGEST_JUMP = 0.25
"""Between the ends of a cycle, as the negative logarithm of what the reward's pose and velocity terms would make of it
together; it is spread over the cycle. Three recorded gaits come back to 0.02, a learned one to 0.12."""
SHORTEST_S = 0.2
_LEAST_MOTION = 0.1
"""That some row must be from the first one, in the same measure."""
_AS_GOOD, _NOISE = 1.5, 0.02
"""A shorter cycle is taken before a longer one that repeats better by less: two strides repeat one."""


class NoCycle(ValueError):
    """Why a motion can not be repeated."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """Rows `first` to `first + rows`, of which the last is the first again."""

    first: int
    rows: int
    jump: float
    """Between these two, as `LARGEST_JUMP` counts it."""


def find_cycle(features: Float64, weights: Float64, names: tuple[str, ...], rate_hz: float) -> Cycle:
    """The shortest cycle of a motion: the whole file if that is one.

    Args:
        features: (T, F) of a motion's rows.
        weights: (F,) of the squares of their differences.
        names: (F,) for the refusal.

    Raises: NoCycle.
    """
    rows = len(features)
    least = max(2, round(SHORTEST_S * rate_hz))
    if rows <= least + 1:
        raise NoCycle(f"it has {rows} rows at {rate_hz:g} Hz; needed at least {least + 2}, a cycle of {SHORTEST_S} s")
    if _apart(features[1:], features[:1], weights).max() < _LEAST_MOTION:
        raise NoCycle("nothing in it moves; needed a motion that comes back to where it began")
    lags = np.arange(least, rows)
    means, jumps, firsts = np.empty(len(lags)), np.empty(len(lags)), np.empty(len(lags), int)
    for place, lag in enumerate(lags.tolist()):
        apart = _apart(features[lag:], features[:-lag], weights)
        firsts[place] = apart.argmin()
        means[place], jumps[place] = apart.mean(), apart[firsts[place]]
    before, after = np.append(np.inf, means[:-1]), np.append(means[1:], np.inf)
    # The first lag is no minimum, only close: in so short a time nothing goes far.
    comes_back = (means <= before) & (means < after) & (lags > least)
    found = np.flatnonzero(comes_back & (jumps <= LARGEST_JUMP))
    if not len(found):
        raise NoCycle(_nearest_return(features, weights, names, rate_hz, lags, jumps, firsts, comes_back))
    good = found[means[found] <= _AS_GOOD * means[found].min() + _NOISE]
    return Cycle(int(firsts[good[0]]), int(lags[good[0]]), float(jumps[good[0]]))


def _apart(some: Float64, others: Float64, weights: Float64) -> Float64:
    found: Float64 = (weights * np.square(some - others)).sum(axis=1)
    return found


def _nearest_return(
    features: Float64,
    weights: Float64,
    names: tuple[str, ...],
    rate_hz: float,
    lags: NDArray[np.intp],
    jumps: Float64,
    firsts: NDArray[np.intp],
    comes_back: NDArray[np.bool_],
) -> str:
    if not comes_back.any():
        return f"in {len(features) / rate_hz:.3g} s it never comes back; is it less than one whole cycle?"
    place = int(np.argmin(np.where(comes_back, jumps, np.inf)))
    first, lag = int(firsts[place]), int(lags[place])
    off = features[first + lag] - features[first]
    worst = int(np.argmax(weights * np.square(off)))
    return (
        f"it comes back best from row {first} to row {first + lag}, and is {jumps[place]:.2g} off there (most of it "
        f"{names[worst]}, by {off[worst]:.2g}); needed {LARGEST_JUMP:g} at most. Is it less than one whole cycle, or "
        "no gait?"
    )
