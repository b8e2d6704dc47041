"""SIMM's cubic spline, as OpenSim's `SimmSpline`: neither natural nor not-a-knot.

Its end conditions are Forsythe, Malcolm and Moler's ('Computer Methods for Mathematical Computations', 1977): at each
end the third derivative is that of the cubic through the four outermost knots. Beyond the knots it is linear.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def pieces(x: Sequence[float], y: Sequence[float]) -> NDArray[np.float64]:
    """(n + 1, 5) for n knots: origin, and the four coefficients of the cubic in q - origin, of each piece.

    Piece i holds where i knots are at or below q: the first and the last are the straight lines outside.

    Raises: ValueError for fewer than two knots, or knots that do not increase.
    """
    knots, values = np.asarray(x, float), np.asarray(y, float)
    if len(knots) < 2 or len(knots) != len(values) or not (np.diff(knots) > 0).all():
        raise ValueError(f"a spline needs at least two increasing knots and a value for each, not {x} with {y}")
    h = np.diff(knots)
    slope = np.diff(values) / h
    sigma = _sixths_of_second_derivatives(knots, h, slope)
    b = np.append(slope - h * (sigma[1:] + 2 * sigma[:-1]), slope[-1] + h[-1] * (sigma[-2] + 2 * sigma[-1]))
    inner = np.column_stack((knots[:-1], values[:-1], b[:-1], 3 * sigma[:-1], np.diff(sigma) / h))
    below = (knots[0], values[0], b[0], 0.0, 0.0)
    above = (knots[-1], values[-1], b[-1], 0.0, 0.0)
    return np.vstack((below, inner, above))


def _sixths_of_second_derivatives(
    knots: NDArray[np.float64], h: NDArray[np.float64], slope: NDArray[np.float64]
) -> NDArray[np.float64]:
    n = len(knots)
    if n == 2:
        return np.zeros(2)
    matrix, right = np.zeros((n, n)), np.zeros(n)
    for i in range(1, n - 1):
        matrix[i, i - 1 : i + 2] = h[i - 1], 2 * (h[i - 1] + h[i]), h[i]
        right[i] = slope[i] - slope[i - 1]
    matrix[0, :2] = -h[0], h[0]
    matrix[-1, -2:] = h[-1], -h[-1]
    if n > 3:
        second = np.diff(slope) / (knots[2:] - knots[:-2])
        third = np.diff(second) / (knots[3:] - knots[:-3])
        right[0], right[-1] = h[0] ** 2 * third[0], -(h[-1] ** 2) * third[-1]
    sigma: NDArray[np.float64] = np.linalg.solve(matrix, right).astype(np.float64)
    return sigma
