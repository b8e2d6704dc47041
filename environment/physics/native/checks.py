"""What a batch is asked, checked for all bodies at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Which = NDArray[np.bool_] | NDArray[np.integer[Any]] | list[int] | None
"""A mask (N,) over the bodies or their numbers; None is all of them."""
Rows = slice | NDArray[np.intp]
"""The same, ready to index with."""


def positions(which: Which, number: int) -> Rows:
    """Bodies to index with: a slice when all are meant.

    Raises: ValueError for a mask of another length, or a body that is not there or named twice.
    """
    if which is None:
        return slice(None)
    asked = np.asarray(which)
    if asked.dtype == np.bool_:
        if asked.shape != (number,):
            raise ValueError(f"a mask of shape {asked.shape} does not fit {number} bodies")
        return slice(None) if np.count_nonzero(asked) == number else np.flatnonzero(asked)
    found = asked.astype(np.intp)
    if found.ndim != 1 or (len(found) and (found.min() < 0 or found.max() >= number)):
        raise ValueError(f"there are bodies 0 to {number - 1}, not {asked.tolist()}")
    if len(set(found.tolist())) < len(found):
        raise ValueError(f"a body is asked for twice in {asked.tolist()}")
    return found


def check_excitations(excitations: NDArray[Any], number: int, muscles: int, rows: Rows) -> NDArray[np.float64]:
    """The excitations as (N, M) float64, or a ValueError that says which of those of `rows` is wrong, and how."""
    values = np.asarray(excitations, dtype=np.float64)
    if values.shape != (number, muscles):
        raise ValueError(
            f"excitations have shape {values.shape}, the bodies need ({number}, {muscles}); was the policy made for "
            "another model, or for another number of bodies?"
        )
    moved = values[rows]
    right = (moved >= 0.0) & (moved <= 1.0)  # NaN compares false, so it counts as wrong
    if np.count_nonzero(right) < right.size:
        i, muscle = (int(found) for found in np.argwhere(~right)[0])
        body, value = int(np.arange(number)[rows][i]), moved[i, muscle]
        if not np.isfinite(value):
            raise ValueError(f"excitation of body {body}, muscle {muscle} is not finite")
        raise ValueError(
            f"excitation of body {body}, muscle {muscle} is {value:g}, it must be in [0, 1]; was a policy output in "
            "[-1, 1] passed without `ActionMap`?"
        )
    return values
