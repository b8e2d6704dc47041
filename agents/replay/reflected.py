"""A share of every batch with left and right exchanged: what one leg has found out is shown to the other as well.

No more of the log is kept in memory for it: the rows are reflected as they are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.experience import Batch
from agents.replay.contract import Replay
from agents.replay.mixture import Memory
from environment.reflection import Reflection

Integers = NDArray[np.int64]
Float32 = NDArray[np.float32]

_REFLECTED = 1 << 62
"""In a decision's number: it was drawn reflected. A mixture's parts are below."""


@dataclass(frozen=True)
class Exchange:
    """What is done to which share of a batch. Rewards and discounts stay: no reward tells left from right."""

    observation: Reflection
    action: Reflection
    share: float
    """In (0, 0.5]: more would make the reflected body the usual one."""

    def rows(self, batch_size: int) -> int:
        """How many of a batch are reflected: the share, right to one row."""
        return round(self.share * batch_size)


class Reflected:
    """Another memory, some rows of whose batches, drawn alike from all, are reflected."""

    def __init__(self, memory: Memory, exchange: Exchange) -> None:
        self.memory, self.exchange = memory, exchange

    @property
    def transitions(self) -> int:
        return self.memory.transitions

    @property
    def timesteps(self) -> int:
        return self.memory.timesteps

    @property
    def taken_steps(self) -> int:
        return self.memory.taken_steps

    def sample(self, batch_size: int, generator: np.random.Generator) -> Batch:
        batch = self.memory.sample(batch_size, generator)
        # Not the first ones: samplers and mixtures have an order, such as by age.
        rows = generator.permutation(batch_size)[: self.exchange.rows(batch_size)]
        # In place: the columns of a batch are its own.
        for column in (batch.observation, batch.next_observation):
            column[rows] = self.exchange.observation(column[rows])
        batch.action[rows] = self.exchange.action(batch.action[rows])
        if batch.number is not None:
            batch.number[rows] |= _REFLECTED
        return batch

    def learned(self, number: Integers, td_error: Float32) -> None:
        """Errors at reflected rows are passed over. They hold what is wrong with the reflection as well, and by them
        the very decisions would be drawn most that are least like what the body would do."""
        as_it_was = number < _REFLECTED
        self.memory.learned(number[as_it_was], td_error[as_it_was])

    def follow(self, replay: Replay, run: str) -> int:
        return self.memory.follow(replay, run)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        return self.memory.state_dict()

    def restore(self, state: Mapping[str, NDArray[Any]], replay: Replay, run: str) -> None:
        self.memory.restore(state, replay, run)
