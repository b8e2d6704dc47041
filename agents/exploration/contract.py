"""What an exploration promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Acts = Callable[[Float32], Float32]
"""A policy, as far as most explorations need it: (O,) not normalised -> action (M,) in [-1, 1]."""


class Exploration(Protocol):
    """Acts for a policy, and tries something else than the policy would."""

    def reset(self, policy: Acts) -> None:
        """Call at the start of every episode, with the policy that it is for."""

    def __call__(self, observation: Float32) -> Float32:
        """(O,) not normalised -> action (M,) float32 in [-1, 1]; once per decision."""

    def describe(self) -> dict[str, Any]:
        """Kind and level, for the episode's document."""


@runtime_checkable
class ActionExploration(Exploration, Protocol):
    """One that needs nothing of the policy but its action: one evaluation of a policy can serve many of these."""

    def explored(self, action: Float32) -> Float32:
        """The policy's action (M,) -> action (M,) float32 in [-1, 1]; instead of a call, once per decision."""


def clipped(action: NDArray[Any]) -> Float32:
    """(M,) -> (M,) float32 in [-1, 1], an array of its own."""
    # Of few numbers these two take a third of the time of `clip`.
    result: Float32 = np.minimum(np.maximum(action, -1.0), 1.0).astype(np.float32)
    return result


def require(name: str, value: float, holds: bool, needed: str = "a positive number") -> None:
    """Raises: ValueError unless it holds."""
    if not holds:
        raise ValueError(f"{name} is {value}, needed {needed}")
