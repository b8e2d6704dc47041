"""Speeds of coordinates that a motion file tells only the values of: slopes of the cubic spline through them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEWEST_ROWS = 4
"""That a spline with these ends needs."""


def slopes(values: NDArray[np.float64], step_s: float) -> NDArray[np.float64]:
    """(T, C) per second, of evenly spaced values (T, C), T at least 4.

    The spline has one cubic over its first two intervals, and one over its last two (not-a-knot).
    """
    rise = np.diff(values, axis=0) / step_s
    diagonal = np.full(len(values), 4.0)
    diagonal[[0, -1]] = 1.0
    below, above = np.ones(len(values) - 1), np.ones(len(values) - 1)
    below[-1] = above[0] = 2.0
    right = np.empty_like(values)
    right[1:-1] = 3.0 * (rise[:-1] + rise[1:])
    right[0], right[-1] = 0.5 * (5.0 * rise[0] + rise[1]), 0.5 * (5.0 * rise[-1] + rise[-2])
    for row in range(1, len(values)):
        factor = below[row - 1] / diagonal[row - 1]
        diagonal[row] -= factor * above[row - 1]
        right[row] -= factor * right[row - 1]
    found = np.empty_like(values)
    found[-1] = right[-1] / diagonal[-1]
    for row in range(len(values) - 2, -1, -1):
        found[row] = (right[row] - above[row] * found[row + 1]) / diagonal[row]
    return found
