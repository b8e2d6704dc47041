"""What a vector environment is given, checked before anything moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from environment.actions import ActionOutOfRange

Float32 = NDArray[np.float32]
_ROUNDING = 1e-6


def checked_actions(actions: Float32, shape: tuple[int, ...], resting: NDArray[np.intp]) -> Float32:
    """A copy of the actions (N, M), zero for the environments in `resting`, which need none.

    Raises: ValueError for another shape; ActionOutOfRange for one that is not in [-1, 1].
    """
    checked = np.array(actions, dtype=np.float32)
    if checked.shape != shape:
        raise ValueError(
            f"actions have shape {checked.shape}, the bodies need {shape}; was the policy made "
            "for another model, or for another number of environments?"
        )
    if len(resting):
        checked[resting] = 0.0
    inside = np.abs(checked) <= 1.0 + _ROUNDING  # NaN compares false, so it counts as outside
    if np.count_nonzero(inside) < inside.size:
        environment, muscle = (int(found) for found in np.argwhere(~inside)[0])
        raise ActionOutOfRange(
            f"action of environment {environment}, muscle {muscle} is {checked[environment, muscle]:g}, it must be "
            "in [-1, 1]; is the noise clipped and the actor's output squashed?"
        )
    return checked


def seeds_of(seed: int | Sequence[int | None] | None, number: int) -> Sequence[int | None]:
    """(N,) one for each environment, counted on from a single one; None where none is given. Raises: ValueError."""
    if seed is None:
        return [None] * number
    seeds = [seed + i for i in range(number)] if isinstance(seed, int | np.integer) else seed
    if not isinstance(seeds, Sequence | np.ndarray) or len(seeds) != number:
        raise ValueError(f"seed {seed!r} does not fit {number} environments; needed one number, or as many")
    for one in seeds:
        if not (one is None or isinstance(one, int | np.integer)):
            raise ValueError(f"seed {one!r} must be a whole number, or None")
    return [None if one is None else int(one) for one in seeds]
