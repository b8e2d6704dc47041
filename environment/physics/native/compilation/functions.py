"""Functions of coordinates: splines in one table, linear ones as two numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.body_model import Constant, Function, Linear, SimmSpline
from environment.physics.native.splines import pieces
from environment.physics.native.tables import Splines


class SplineTable:
    """Collects the model's splines; equal ones are kept once."""

    def __init__(self) -> None:
        self._splines: list[SimmSpline] = []

    def place(self, function: Function) -> tuple[int, float, float]:
        """(spline number or -1, slope, intercept)"""
        if isinstance(function, SimmSpline):
            if len(set(function.y)) == 1:
                return -1, 0.0, function.y[0]
            if function not in self._splines:
                self._splines.append(function)
            return self._splines.index(function), 1.0, 0.0
        if isinstance(function, Linear):
            return -1, function.slope, function.intercept
        return -1, 0.0, function.value

    def tables(self) -> Splines:
        rows = [pieces(spline.x, spline.y) for spline in self._splines]
        return Splines(
            knots=floats([x for spline in self._splines for x in spline.x]),
            knot_start=starts([len(spline.x) for spline in self._splines]),
            pieces=floats([number for one in rows for number in one.ravel()]),
            piece_start=starts([len(one) for one in rows]),
        )


def value(function: Function, q: float) -> float:
    """At one coordinate value."""
    if isinstance(function, Constant):
        return function.value
    if isinstance(function, Linear):
        return function.slope * q + function.intercept
    origin, y, b, c, d = pieces(function.x, function.y)[int(np.searchsorted(function.x, q, side="right"))]
    t = q - origin
    return float(y + t * (b + t * (c + t * d)))


def floats(values: Sequence[Any], *columns: int) -> NDArray[np.float64]:
    """A contiguous float64 array, two-dimensional when `columns` is given, also when empty."""
    return np.ascontiguousarray(np.asarray(values, np.float64).reshape(-1, *columns))


def integers(values: Sequence[Any], *columns: int) -> NDArray[np.int64]:
    """A contiguous int64 array, two-dimensional when `columns` is given, also when empty."""
    return np.ascontiguousarray(np.asarray(values, np.int64).reshape(-1, *columns))


def starts(lengths: Sequence[int]) -> NDArray[np.int64]:
    """Where each of several runs of those lengths starts, and the end of the last."""
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)
