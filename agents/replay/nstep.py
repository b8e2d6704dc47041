"""From timesteps to per-decision, n-step transitions. Pure functions of one episode.

An action is chosen at row i (the observation it was chosen from) and stored in row i+1, the first step it led to; it
is held until the next decision. Gamma is per 10 ms control step, so that holding actions longer does not change how
far the critic looks ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class HeldActions:
    """The K decisions of an episode, in order."""

    start: NDArray[np.int64]
    """(K,) row each was taken at: row i where `decision[i+1]`."""
    stop: NDArray[np.int64]
    """(K,) row where its action ended: the next decision's, or the last row."""
    reward: NDArray[np.float64]
    """(K,) sum over rows j in start+1..stop of gamma**(j - start - 1) * reward[j]."""


@dataclass(frozen=True, slots=True)
class Transitions:
    """One per decision: from it to the n-th next, or to the last row."""

    start: NDArray[np.int64]
    """(K,)"""
    stop: NDArray[np.int64]
    """(K,) row to bootstrap from."""
    reward: NDArray[np.float64]
    """(K,) rewards of rows start+1..stop, discounted by gamma per control step since `start`."""
    discount: NDArray[np.float64]
    """(K,) gamma**(stop - start); 0 where `stop` is the last row of a terminated episode."""


def held_actions(reward: NDArray[np.float64], decision: NDArray[np.bool_], gamma: float) -> HeldActions:
    """Joins the control steps of each held action.

    Args:
        reward: (T+1,) of arriving at each row.
        decision: (T+1,) whether the action that led to a row was chosen for it.
        gamma: in [0, 1], per control step.
    """
    start = np.flatnonzero(decision[1:]).astype(np.int64)
    if len(start) == 0:
        return HeldActions(start, start, np.empty(0))
    last = len(reward) - 1
    stop = np.append(start[1:], last)
    rows = np.arange(start[0], last)
    since = rows - np.repeat(start, stop - start)
    held = np.add.reduceat(gamma**since * reward[start[0] + 1 :], start - start[0])
    return HeldActions(start, stop, held)


def n_step(held: HeldActions, *, terminated: bool, gamma: float, n: int) -> Transitions:
    """Sums over n decisions, fewer where the episode ends before.

    Args:
        terminated: whether the episode's last row has no future. A time limit or a stop from outside has one.
        n: decisions, at least 1.
    """
    count = len(held.start)
    reward = np.zeros(count)
    for ahead in range(min(n, count)):
        covered = count - ahead
        steps = held.start[ahead:] - held.start[:covered]
        reward[:covered] += gamma**steps * held.reward[ahead:]
    final = np.minimum(np.arange(count) + n - 1, count - 1)
    stop = held.stop[final]
    discount = gamma ** (stop - held.start).astype(np.float64)
    if terminated:
        discount[final == count - 1] = 0.0
    return Transitions(held.start, stop, reward, discount)
