"""Every operation of lanes in one piece of machine code, for several widths."""

# Machine code: Numba infers the types.
# mypy: disallow-untyped-defs=False, check-untyped-defs=False
# mypy: disallow-untyped-decorators=False, disallow-untyped-calls=False

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from environment.physics.native.functions import clamp, cross, exp, maximum, minimum, sin_cos, spline
from environment.physics.native.jit import inner
from environment.physics.native.lanes import (
    absolute,
    fill,
    fma,
    gather,
    load,
    nearest,
    select,
    some,
    sqrt,
    store,
    truncated,
    zeros,
)
from environment.physics.native.references import Directory, referrer
from environment.physics.native.tables import Floats, Splines
from tests.environment.native.small_models import Array

OPERATIONS = (
    *("sum", "difference", "product", "quotient", "negative", "shifted", "doubled", "sqrt", "absolute", "nearest"),
    *("fma", "less", "less_equal", "greater", "greater_equal", "equal", "both", "either", "neither", "some", "picked"),
    *("exp", "sine", "cosine", "clamped", "minimum", "maximum", "filled", "gathered", "value", "first", "second"),
    *("cross_x", "cross_y", "cross_z"),
)


class Box(NamedTuple):
    """Arrays (rows, width) in, a table to look up in, and (operations · rows, width) out."""

    a: Floats
    b: Floats
    c: Floats
    table: Floats
    splines: Splines
    out: Floats


_box = referrer(Box, constant=False)


@inner
def _flag(zero, mask):
    return select(mask, zero + 1.0, zero)


@inner
def _operate(zero, entries):
    box = _box(entries)
    rows = len(box.a)
    for row in range(rows):
        a, b, c = load(zero, box.a, row), load(zero, box.b, row), load(zero, box.c, row)
        sine, cosine = sin_cos(a)
        value, first, second = spline(a, box.splines, 1)
        low = minimum(absolute(a), zero + 3.0)
        plain = a + b, a - b, a * b, a / b, -a, a + 1.5, 2 * a, sqrt(absolute(a)), absolute(a), nearest(a), fma(a, b, c)
        orders = _flag(zero, a < b), _flag(zero, a <= b), _flag(zero, a > b), _flag(zero, a >= b), _flag(zero, a == b)
        rising, either = (a < b) & (b < c), (a < b) | (b < c)
        masks = _flag(zero, rising), _flag(zero, either), _flag(zero, ~either), fill(zero, 1.0 if some(a < b) else 0.0)
        functions = exp(a), sine, cosine, clamp(a, -1.0, 2.0), minimum(a, b), maximum(a, b)
        lookups = fill(zero, 0.1), gather(box.table, 1, 2, 1, truncated(low)), value, first, second
        results = plain + orders + masks + (select(a < b, a, b),) + functions + lookups + cross((a, b, c), (b, c, a))
        for operation in range(len(results)):
            store(box.out, operation * rows + row, results[operation])


@njit
def _one(entries):
    _operate(zeros(1), entries)


@njit
def _two(entries):
    _operate(zeros(2), entries)


@njit
def _four(entries):
    _operate(zeros(4), entries)


@njit
def _eight(entries):
    _operate(zeros(8), entries)


_BY_WIDTH: dict[int, Callable[[Any], None]] = {1: _one, 2: _two, 4: _four, 8: _eight}
WIDTHS = tuple(_BY_WIDTH)


def operate(width: int, a: Array, b: Array, c: Array, table: Array, splines: Splines) -> dict[str, Array]:
    """Results by operation, for numbers (n,) with n a multiple of the width."""
    a, b, c = (np.ascontiguousarray(one.reshape(-1, width)) for one in (a, b, c))
    out = np.zeros((len(OPERATIONS) * len(a), width))
    directory = Directory(Box(a, b, c, table, splines, out))
    _BY_WIDTH[width](directory.entries)
    return dict(zip(OPERATIONS, out.reshape(len(OPERATIONS), -1), strict=True))
