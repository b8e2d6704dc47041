"""What a way to sample promises. It knows the ring's points by their numbers, and never sees what is in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.replay.ring import Ring

Integers = NDArray[np.int64]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Points that transitions start at, with replacement."""

    number: Integers
    """(B,)"""
    weight: Float32
    """(B,) in (0, 1]: what each counts for in the loss, so that the expectation is that of uniform sampling; 1 where
    another distribution is wanted."""


class Sampler(Protocol):
    """Draws points of one ring."""

    def entered(self, first: int) -> None:
        """The ring has taken points, numbered from `first`; others may have left for them."""

    def draw(self, size: int, generator: np.random.Generator) -> Drawn:
        """Of a ring that holds a transition."""

    def learned(self, number: Integers, td_error: Float32) -> None:
        """The critic's absolute errors (B,) at points that were drawn; those that have left since are passed over."""

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """What `load_state_dict` needs to draw the same, when the ring holds the same points again."""

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Raises: ValueError when the state is of another way to sample."""


class Stateless:
    """The part of a `Sampler` that one without memory leaves empty."""

    def entered(self, first: int) -> None:
        """Nothing to remember."""

    def learned(self, number: Integers, td_error: Float32) -> None:
        """Errors do not matter."""

    def state_dict(self) -> dict[str, NDArray[Any]]:
        return {}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Whatever another way to sample has kept does not matter."""


def starts_only(ring: Ring, size: int, draw: Callable[[int], Integers]) -> Integers:
    """(size,) numbers from `draw`; where no transition starts, drawn again."""
    number = draw(size)
    while len(ends := np.flatnonzero(~ring.starts(number))):
        number[ends] = draw(len(ends))
    return number
