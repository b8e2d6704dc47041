"""The newest points of the log, in preallocated columns: the oldest episodes leave as others come.

Points are numbered for ever, in the order they came; a number says where it lies, and whether it is still there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.replay.derivation import Points
from agents.replay.ring_memory import column
from agents.replay.room import available_bytes
from agents.replay.runs import Episode

Integers = NDArray[np.int64]
FLOATS: Mapping[str, type[np.float32] | type[np.float16]] = {"float32": np.float32, "float16": np.float16}
"""Of the observations in memory. Half the size costs about three digits: 5e-4 of a number, at most 65,504."""

_POINT_BYTES = 3 * 4 + 8
"""Reward, discount, hop and policy version."""


@dataclass(frozen=True, slots=True)
class Held:
    """An episode in the ring."""

    episode: int
    points: int
    timesteps: int


class Ring:
    """Room for `capacity` points. Not thread-safe."""

    def __init__(
        self,
        capacity: int,
        observation_size: int,
        action_size: int,
        floats: str = "float32",
        memory: str = "private",
    ) -> None:
        """`memory`: see `MEMORIES`.

        Raises: ValueError for a setting out of range, MemoryError when it would not fit: says the figures.
        """
        if capacity < 2:
            raise ValueError(f"a ring has room for at least 2 points, not {capacity}")
        if floats not in FLOATS:
            raise ValueError(f"floats of {floats!r} are unknown; there are {', '.join(FLOATS)}")
        check_room(1, capacity, observation_size, action_size, floats)
        self.capacity = capacity
        self.first = 0
        """Number of the oldest point held."""
        self.next = 0
        """Number that the next point gets."""
        self.transitions = 0
        """Points held that a transition starts at."""
        self.held: deque[Held] = deque()
        self.observation = column((capacity, observation_size), FLOATS[floats], memory)
        self.action = column((capacity, action_size), np.float32, memory)
        self.reward = column((capacity,), np.float32, memory)
        self.discount = column((capacity,), np.float32, memory)
        self.hop = column((capacity,), np.int32, memory)
        """Points to the one to bootstrap from; 0 where no transition starts."""
        self.policy_version = column((capacity,), np.int64, memory)

    def place(self, number: Integers) -> Integers:
        """Where points lie."""
        places: Integers = number % self.capacity
        return places

    def starts(self, number: Integers) -> NDArray[np.bool_]:
        """Whether a transition starts at points that are held."""
        starts: NDArray[np.bool_] = self.hop[number % self.capacity] > 0
        return starts

    def put(self, episodes: Sequence[Episode], points: Points) -> None:
        """Takes the points of episodes, in that order; the oldest leave whole as their room is needed."""
        count = len(points.reward)
        if count > self.capacity:
            raise ValueError(f"{count} points do not fit a ring with room for {self.capacity}")
        while self.next - self.first + count > self.capacity:
            leaving = self.held.popleft().points
            self.first += leaving
            self.transitions -= max(0, leaving - 1)
        for target, source in _pieces(self.next % self.capacity, count, self.capacity):
            self.observation[target] = _within(points.observation[source], self.observation.dtype)
            self.action[target] = points.action[source]
            self.reward[target] = points.reward[source]
            self.discount[target] = points.discount[source]
            self.hop[target] = points.hop[source]
            self.policy_version[target] = points.policy_version[source]
        self.next += count
        for episode, each in zip(episodes, points.each.tolist(), strict=True):
            self.held.append(Held(episode.id, each, episode.length + 1))
            self.transitions += max(0, each - 1)


def bytes_needed(capacity: int, observation_size: int, action_size: int, floats: str = "float32") -> int:
    """Bytes of a full ring."""
    wide = np.dtype(FLOATS[floats]).itemsize * observation_size
    return capacity * (wide + 4 * action_size + _POINT_BYTES)


def check_room(rings: int, capacity: int, observation_size: int, action_size: int, floats: str) -> None:
    """Raises: MemoryError, with the figures, when so many rings do not fit together; before the first one is made."""
    needed = rings * bytes_needed(capacity, observation_size, action_size, floats)
    available = available_bytes()
    if needed > available:
        raise MemoryError(
            f"a memory of {rings} x {capacity} decisions needs {needed / 1e9:.2f} GB, found {available / 1e9:.2f} GB "
            f"available; needed at most {int(capacity * available / needed)} decisions"
            + (", or float16" if floats == "float32" else "")
        )


def _within(values: NDArray[np.float32], dtype: np.dtype[np.floating]) -> NDArray[np.float32]:
    """The same, no number beyond what `dtype` can tell from infinity."""
    if dtype == np.float32:
        return values
    most = float(np.finfo(dtype).max)
    return np.clip(values, -most, most)


def _pieces(begin: int, count: int, capacity: int) -> list[tuple[slice, slice]]:
    """(target, source) slices of `count` rows that begin at `begin` and may go round the end."""
    straight = min(count, capacity - begin)
    pieces = [(slice(begin, begin + straight), slice(0, straight))]
    if straight < count:
        pieces.append((slice(0, count - straight), slice(straight, count)))
    return pieces
