"""Timesteps as columns: how they are read, and how many are written at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from agents.replay.runs import Episode
from environment.timestep import TimeStep


@dataclass(frozen=True, slots=True)
class EpisodeTimesteps:
    """All T+1 timesteps of an episode as columns, in step order."""

    episode: int
    state: NDArray[np.float32]
    """(T+1, S)"""
    excitation: NDArray[np.float32]
    """(T+1, M)"""
    policy_action: NDArray[np.float32]
    """(T+1, M)"""
    decision: NDArray[np.bool_]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    policy_version: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Timesteps:
    """All R timesteps of E episodes as columns, one episode after the other; views of the bytes that were read."""

    episodes: Sequence[Episode]
    """(E,) by id."""
    first: NDArray[np.int64]
    """(E,) row of each episode's reset state."""
    state: NDArray[np.float32]
    """(R, S)"""
    excitation: NDArray[np.float32]
    """(R, M)"""
    policy_action: NDArray[np.float32]
    """(R, M)"""
    decision: NDArray[np.bool_]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    policy_version: NDArray[np.int64]

    def episode(self, number: int) -> EpisodeTimesteps:
        """A copy of the columns of one of them."""
        rows = slice(int(self.first[number]), int(self.first[number]) + self.episodes[number].length + 1)
        columns = {name: np.ascontiguousarray(getattr(self, name)[rows]) for name in _COLUMNS}
        return EpisodeTimesteps(episode=self.episodes[number].id, **columns)


_COLUMNS = tuple(field.name for field in fields(EpisodeTimesteps) if field.name != "episode")


@dataclass(frozen=True, slots=True)
class TimestepBlock:
    """K consecutive timesteps of an open episode as columns, to be written at once."""

    state: NDArray[np.float32]
    """(K, S)"""
    excitation: NDArray[np.float32]
    """(K, M)"""
    policy_action: NDArray[np.float32]
    """(K, M)"""
    decision: NDArray[np.bool_]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]

    def __post_init__(self) -> None:
        count = len(self.reward)
        columns = self.state, self.excitation, self.policy_action, self.decision, self.terminated, self.truncated
        for column in columns:
            if len(column) != count:
                lengths = {name: len(getattr(self, name)) for name in self.__slots__}
                raise ValueError(f"columns of a block: found {lengths}, needed as many rows in each")

    def __len__(self) -> int:
        return len(self.reward)

    def __getitem__(self, rows: slice) -> TimestepBlock:
        """Views of some of its rows."""
        return TimestepBlock(*(getattr(self, name)[rows] for name in self.__slots__))

    def timestep(self, row: int, step: int) -> TimeStep:
        """One of them, which is step `step` of its episode."""
        return TimeStep(
            step=step,
            state=self.state[row],
            excitation=self.excitation[row],
            policy_action=self.policy_action[row],
            decision=bool(self.decision[row]),
            reward=float(self.reward[row]),
            terminated=bool(self.terminated[row]),
            truncated=bool(self.truncated[row]),
        )
