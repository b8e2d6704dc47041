"""What both rounds of the challenge pay, told beside whatever is learned for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.rewards import Reward, round1, round2
from environment.state import StateLayout

Array = NDArray[Any]

ROUNDS: Mapping[str, Callable[[StateLayout], Reward]] = {"round1": round1, "round2": round2}


class RoundRewards:
    """The true rewards of both rounds, of the states arrived at, whatever the task and the learned reward are.

    Round 2's is by the targets that the states carry: in a task of round 1 always 3 m/s ahead, in a curriculum's early
    stages easier ones. One state and a batch give the same, to the last bit.
    """

    def __init__(self, layout: StateLayout, learned: Reward) -> None:
        """Over states of `layout` (target included), beside the reward `learned`."""
        rewards = {name: build(layout) for name, build in ROUNDS.items()}
        self._others = {name: None if one.name == learned.name else one for name, one in rewards.items()}
        """None where what is learned for is that round's own reward."""

    def evaluate(self, states: Array, paid: Array) -> dict[str, Array]:
        """(...) by round, of the states (..., S) arrived at.

        Args:
            paid: (...) what the learned reward pays for the same states; it is not computed again.
        """
        return {name: paid if one is None else _total(one, states) for name, one in self._others.items()}


def _total(reward: Reward, states: Array) -> Array:
    # One after the other, as environments add up the terms of what is learned for.
    total: Array = np.asarray(sum(reward.evaluate(states).values()))
    return total
