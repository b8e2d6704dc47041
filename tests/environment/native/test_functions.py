"""Elementary functions are as exact as their docstrings say, in every lane."""

from __future__ import annotations

import math

import numpy as np
import pytest

from environment.body_model import SimmSpline
from environment.physics.native.compilation.functions import SplineTable
from environment.physics.native.splines import pieces
from tests.environment.native.lane_probe import WIDTHS, operate
from tests.environment.native.small_models import Array

CURVE = SimmSpline((-1.0, 0.0, 0.5, 2.0, 3.0), (2.0, 1.0, -1.0, 0.5, 0.25))


def of(x: Array, width: int = 8) -> dict[str, Array]:
    """Every function of the numbers (n,)."""
    table = SplineTable()
    table.place(SimmSpline((0.0, 1.0), (5.0, 6.0)))
    table.place(CURVE)
    full = np.concatenate((x, np.zeros(-len(x) % 8)))
    found = operate(width, full, np.cos(full), np.full_like(full, 0.3), np.arange(10.0), table.tables())
    return {name: values[: len(x)] for name, values in found.items()}


def test_exp_is_right_to_the_last_place() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate((rng.uniform(-708, 709, 40_000), rng.normal(0, 1, 40_000), [0.0, -0.0, -708.0, 709.0, 1e-300]))
    truth = np.array([math.exp(one) for one in x.tolist()])
    assert (np.abs(of(x)["exp"] - truth) <= np.spacing(truth)).all()
    assert of(np.zeros(1))["exp"][0] == 1.0


def test_exp_stops_where_numbers_end() -> None:
    low, high, lower, higher, nothing = of(np.array([-708.0, 709.0, -1e6, 1e6, np.nan]))["exp"]
    assert lower == low == pytest.approx(math.exp(-708.0), rel=1e-15)
    assert higher == high == pytest.approx(math.exp(709.0), rel=1e-15)
    assert math.isnan(nothing)


def test_sine_and_cosine_are_right_to_two_last_places() -> None:
    rng = np.random.default_rng(2)
    turns = 2000 * math.pi
    near_zeros = np.arange(-4000, 4001) * (math.pi / 2)
    x = np.concatenate((rng.uniform(-turns, turns, 40_000), rng.normal(0, 1, 40_000), near_zeros, [0.0, -0.0, 1e-300]))
    found = of(x)
    for name, function in (("sine", math.sin), ("cosine", math.cos)):
        truth = np.array([function(one) for one in x.tolist()])
        assert (np.abs(found[name] - truth) <= 2 * np.spacing(np.abs(truth))).all(), name
    assert np.isnan([of(np.array([np.nan]))[name][0] for name in ("sine", "cosine")]).all()


def test_clamp_keeps_what_is_inside_and_what_is_not_a_number() -> None:
    found = of(np.array([-5.0, -1.0, -0.0, 1.999, 2.0, 2.5, np.nan]))["clamped"]
    np.testing.assert_array_equal(found, [-1.0, -1.0, -0.0, 1.999, 2.0, 2.0, np.nan])
    assert np.signbit(found[2])


def test_the_cross_product_is_right_handed() -> None:
    x = np.random.default_rng(3).normal(0, 2, 64)
    found = of(x)
    one = np.column_stack((x, np.cos(x), np.full(64, 0.3)))
    across = np.cross(one, np.roll(one, -1, axis=1))
    np.testing.assert_allclose(np.column_stack([found[f"cross_{k}"] for k in "xyz"]), across, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_spline_s_value_and_derivatives_are_those_of_the_piece_it_is_on(width: int) -> None:
    knots = np.array(CURVE.x)
    x = np.concatenate((knots, np.nextafter(knots, -9.0), np.random.default_rng(4).uniform(-3, 5, 200)))
    rows = pieces(CURVE.x, CURVE.y)[np.searchsorted(knots, x, side="right")]
    origin, y, b, c, d = rows.T
    t = x - origin
    found = of(x, width)
    np.testing.assert_allclose(found["value"], y + t * (b + t * (c + t * d)), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(found["first"], b + t * (2 * c + t * 3 * d), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(found["second"], 2 * c + 6 * t * d, rtol=1e-13, atol=1e-13)


def test_a_spline_of_what_is_not_a_number_is_none_and_leaves_the_neighbours_alone() -> None:
    found = of(np.array([0.25, np.nan, 0.25]))
    for name in ("value", "first", "second"):
        assert found[name][0] == found[name][2] == of(np.array([0.25]))[name][0]
    assert np.isnan(found["value"][1])
