"""From timesteps to per-decision, n-step transitions. Pure functions of whole episodes, any number at a time.

An action is chosen at row i (the observation it was chosen from) and stored in row i+1, the first step it led to; it
is held until the next decision. Gamma is per 10 ms control step, so that holding actions longer does not change how
far the critic looks ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Transitions:
    """One per decision: from it to the n-th next, or to the episode's last row."""

    episode: Integers
    """(K,) which of the episodes it belongs to, ascending."""
    start: Integers
    """(K,) row i where `decision[i+1]`, ascending."""
    stop: Integers
    """(K,) row to bootstrap from."""
    reward: Floats
    """(K,) rewards of rows start+1..stop, discounted by gamma per control step since `start`."""
    discount: Floats
    """(K,) gamma**(stop - start); 0 where `stop` is the last row of a terminated episode."""


def transitions(
    reward: Floats,
    decision: NDArray[np.bool_],
    first: Integers,
    terminated: NDArray[np.bool_],
    *,
    gamma: float,
    n: int,
) -> Transitions:
    """Those of E episodes that lie one after the other, R rows together.

    Args:
        reward: (R,) of arriving at each row.
        decision: (R,) whether the action that led to a row was chosen for it; False at every first row.
        first: (E,) each episode's first row, ascending, from 0.
        terminated: (E,) whether the episode's last row has no future. A time limit or a stop from outside has one.
        gamma: in [0, 1], per control step.
        n: decisions, at least 1; fewer are covered where the episode ends before.
    """
    start = np.flatnonzero(decision[1:]).astype(np.int64)
    episode = np.searchsorted(first, start, side="right") - 1
    count = len(start)
    last_row = np.append(first[1:], len(reward))[episode] - 1
    held_until = np.minimum(np.append(start[1:], len(reward)), last_row)
    held_reward = _held(reward, start, held_until, gamma)
    total = np.zeros(count)
    for ahead in range(min(n, count)):
        here, there = slice(0, count - ahead), slice(ahead, count)
        same = episode[here] == episode[there]
        total[here] += same * gamma ** (same * (start[there] - start[here])) * held_reward[there]
    last_decision = np.searchsorted(episode, episode, side="right") - 1
    final = np.minimum(np.arange(count) + n - 1, last_decision)
    stop = held_until[final]
    discount = gamma ** (stop - start).astype(np.float64)
    discount[terminated[episode] & (final == last_decision)] = 0.0
    return Transitions(episode, start, stop, total, discount)


def _held(reward: Floats, start: Integers, stop: Integers, gamma: float) -> Floats:
    """(K,) sums over rows j in start+1..stop of gamma**(j - start - 1) * reward[j]."""
    if len(start) == 0:
        return np.empty(0)
    lengths = stop - start
    begins = np.cumsum(lengths) - lengths
    since = np.arange(int(lengths.sum())) - np.repeat(begins, lengths)
    rows = np.repeat(start + 1, lengths) + since
    held: Floats = np.add.reduceat(gamma**since * reward[rows], begins)
    return held
