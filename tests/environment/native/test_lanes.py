"""Arithmetic of several numbers at once is IEEE 754's, number by number."""

# Machine code: Numba infers the types.
# mypy: disallow-untyped-defs=False, check-untyped-defs=False
# mypy: disallow-untyped-decorators=False, disallow-untyped-calls=False

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from numba import njit
from numba.core.errors import NumbaError

from environment.body_model import SimmSpline
from environment.physics.native.compilation.functions import SplineTable
from environment.physics.native.lanes import fma, gather, select, store, truncated, zeros
from environment.physics.native.references import Directory, referrer
from tests.environment.native.lane_probe import OPERATIONS, WIDTHS, Box, operate
from tests.environment.native.small_models import Array

TABLE = np.arange(100.0, 110.0)
CURVE = SimmSpline((-1.0, 0.0, 0.5, 2.0, 3.0), (2.0, 1.0, -1.0, 0.5, 0.25))
_wide, _constant = referrer(Box, constant=False), referrer(Box, constant=True)


@cache
def numbers() -> tuple[Array, Array, Array]:
    """Ordinary ones, ties, zeros of both signs, and what is not a number."""
    rng = np.random.default_rng(0)
    special = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, np.nan, 1e-310, 1e300]
    pairs = np.array([(x, y) for x in special for y in special] + [(np.inf, 1.0), (1.0, np.inf), (-np.inf, 2.0)])
    count = 512
    a, b = np.concatenate((pairs, rng.normal(0, 2, (count - len(pairs), 2)))).T
    return a.copy(), b.copy(), rng.normal(0, 2, count)


@cache
def results(width: int) -> dict[str, Array]:
    table = SplineTable()
    table.place(SimmSpline((0.0, 1.0), (5.0, 6.0)))
    table.place(CURVE)
    return operate(width, *numbers(), TABLE, table.tables())


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:divide by zero:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:underflow:RuntimeWarning")
def test_every_operation_is_ieee_754_s() -> None:
    a, b, c = numbers()
    expected = {
        "sum": a + b,
        "difference": a - b,
        "product": a * b,
        "quotient": a / b,
        "negative": -a,
        "shifted": a + 1.5,
        "doubled": 2 * a,
        "sqrt": np.sqrt(np.abs(a)),
        "absolute": np.abs(a),
        "nearest": np.rint(a),
        "less": a < b,
        "less_equal": a <= b,
        "greater": a > b,
        "greater_equal": a >= b,
        "equal": a == b,
        "both": (a < b) & (b < c),
        "either": (a < b) | (b < c),
        "neither": ~((a < b) | (b < c)),
        "some": a < b,
        "picked": np.where(a < b, a, b),
        "minimum": np.where(a < b, a, b),
        "maximum": np.where(a > b, a, b),
        "filled": np.full(len(a), 0.1),
    }
    found = results(1)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values.astype(float), err_msg=name)
        same_sign = np.signbit(found[name]) == np.signbit(values.astype(float))
        assert (same_sign | np.isnan(found[name])).all(), name


def test_fma_rounds_once() -> None:
    a, b, c = numbers()
    fine = np.isfinite(a) & np.isfinite(b) & (np.abs(a) < 1e100) & (np.abs(b) < 1e100)
    exact = [float(Fraction(x) * Fraction(y) + Fraction(z)) for x, y, z in np.column_stack((a, b, c))[fine].tolist()]
    assert results(1)["fma"][fine].tolist() == exact
    assert (a[fine] * b[fine] + c[fine]).tolist() != exact


@pytest.mark.parametrize("width", WIDTHS[1:])
def test_a_lane_s_bits_are_those_of_a_single_lane(width: int) -> None:
    found = results(width)
    for name in OPERATIONS:
        # `some` is the one question that is asked of all lanes together.
        if name != "some":
            # Which of two operands' signs a NaN has is left open by IEEE 754.
            bits, single = (np.where(np.isnan(one[name]), np.nan, one[name]) for one in (found, results(1)))
            assert bits.tobytes() == single.tobytes(), name
    together = results(1)["less"].reshape(-1, width).max(axis=1, keepdims=True)
    np.testing.assert_array_equal(found["some"].reshape(-1, width), np.repeat(together, width, axis=1))


def test_gather_finds_each_lane_s_own_entry() -> None:
    a, _, _ = numbers()
    place = np.where(np.abs(a) < 3.0, np.trunc(np.abs(a)), 3.0)
    np.testing.assert_array_equal(results(8)["gathered"], TABLE[(1 + 2 * place + 1).astype(int)])


def _mixes_widths(entries):
    return store(_wide(entries).out, 0, zeros(8) + zeros(2))


def _fuses_widths(entries):
    return store(_wide(entries).out, 0, fma(zeros(8), zeros(8), zeros(4)))


def _selects_another_width(entries):
    return store(_wide(entries).out, 0, select(zeros(8) < 1.0, zeros(8), zeros(2)))


def _compares_widths(entries):
    return store(_wide(entries).out, 0, select((zeros(8) < 1.0) & (zeros(2) < 1.0), zeros(8), zeros(8)))


def _branches_on_a_mask(entries):
    return store(_wide(entries).out, 0, zeros(8) if zeros(8) < 1.0 else zeros(8) + 1.0)


def _asks_for_any_width(entries):
    return store(_wide(entries).out, 0, zeros(len(entries)))


def _writes_to_a_constant(entries):
    _constant(entries).out[0] = 1.0


def _reads_an_unknown_field(entries):
    return store(_wide(entries).out, 0, _wide(entries).nothing)


def _looks_up_by_plain_lanes(entries):
    return store(_wide(entries).out, 0, gather(_wide(entries).a, 0, 1, 0, zeros(8)))


MISUSES = (
    _mixes_widths,
    _fuses_widths,
    _selects_another_width,
    _compares_widths,
    _branches_on_a_mask,
    _asks_for_any_width,
    _writes_to_a_constant,
    _reads_an_unknown_field,
    _looks_up_by_plain_lanes,
)


@pytest.mark.parametrize("misuse", MISUSES, ids=lambda one: one.__name__.strip("_"))
def test_misuse_does_not_compile(misuse: Any) -> None:
    with pytest.raises((NumbaError, AttributeError, ValueError)):
        njit(misuse).compile("void(i8[::1])")


def _is_fine(entries):
    return store(_wide(entries).out, 0, gather(_wide(entries).table, 0, 1, 0, truncated(zeros(4) + 2.0)))


def test_what_is_not_misused_compiles() -> None:
    out, empty = np.zeros((1, 4)), np.zeros((0, 4))
    directory = Directory(Box(empty, empty, empty, TABLE, SplineTable().tables(), out))
    compiled = njit(_is_fine)
    compiled.compile("void(i8[::1])")
    compiled(directory.entries)
    assert out.tolist() == [[102.0] * 4]
