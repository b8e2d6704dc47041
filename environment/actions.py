"""Policy output -> muscle excitations: range, binning, and how long an action is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.arguments import is_whole

Float32 = NDArray[np.float32]
FrameSkipSpec = int | tuple[int, int]
"""Control steps an action is held: always the same number, or drawn anew from an inclusive range."""

_ROUNDING = 1e-6


class ActionOutOfRange(ValueError):
    """A policy output outside [-1, 1]. It did not reach a muscle."""


@dataclass(frozen=True, slots=True)
class ActionMap:
    """The policy's [-1, 1] becomes the muscles' [0, 1]: excitation = (action + 1) / 2, then optionally binned.

    A tanh policy thus covers the whole range; -1 is a muscle at rest, never a negative excitation.
    """

    muscles: int
    bins: int | None = None
    """Number of equally spaced excitations in [0, 1]: 2 is on/off, 3 adds one half; None leaves them continuous."""

    def __post_init__(self) -> None:
        check_bins(self.bins)

    def excitation(self, policy_action: NDArray[Any]) -> Float32:
        """(M,) in [0, 1] of a policy output (M,) in [-1, 1].

        Raises: ActionOutOfRange when a value is not finite or outside [-1, 1] beyond rounding; ValueError on shape.
        """
        action = np.asarray(policy_action, dtype=np.float32)
        if action.shape != (self.muscles,):
            raise ValueError(
                f"action has shape {action.shape}, the body needs ({self.muscles},); was the policy made for another "
                "model?"
            )
        outside = ~(np.abs(action) <= 1.0 + _ROUNDING)  # NaN compares false, so it counts as outside
        if outside.any():
            muscle = int(np.flatnonzero(outside)[0])
            raise ActionOutOfRange(
                f"action of muscle {muscle} is {action[muscle]:g}, it must be in [-1, 1]; is the noise clipped and the "
                "actor's output squashed?"
            )
        return binned((np.clip(action, -1.0, 1.0) + np.float32(1.0)) / np.float32(2.0), self.bins)


def check_bins(bins: int | None) -> None:
    """Raises: ValueError."""
    if bins is not None and (not is_whole(bins) or bins < 2):
        raise ValueError(
            f"bins={bins!r} must be a whole number from 2 (on and off), or None for continuous excitations"
        )


def binned(excitation: Float32, bins: int | None) -> Float32:
    """Rounds excitations in [0, 1] to the nearest of `bins` equally spaced values; unchanged for None."""
    if bins is None:
        return excitation
    intervals = np.float32(bins - 1)
    rounded: Float32 = np.rint(excitation * intervals) / intervals
    return rounded


class FrameSkip:
    """For how many control steps an action is held.

    A held action is broken when the target changes: the policy must be asked at once, not up to a skip later.
    """

    def __init__(self, spec: FrameSkipSpec) -> None:
        bounds: tuple[int, ...] = spec if isinstance(spec, (tuple, list)) else (spec, spec)
        if len(bounds) != 2 or not all(map(is_whole, bounds)) or not 1 <= bounds[0] <= bounds[1]:
            raise ValueError(
                f"frame skip {spec!r} must be a whole number from 1, or a range of two in order; 1 asks the policy "
                "every step"
            )
        self._low, self._high = bounds

    @property
    def longest(self) -> int:
        """Control steps in the longest hold."""
        return self._high

    def draw(self, generator: np.random.Generator) -> int:
        """Control steps the next action is held."""
        return int(generator.integers(self._low, self._high + 1))
