"""SIMM's spline: the end conditions of Forsythe, Malcolm and Moler, straight lines outside."""

from __future__ import annotations

import numpy as np
import pytest

from environment.physics.native.splines import pieces
from tests.environment.native.small_models import Array


def evaluate(x: Array, y: Array, q: Array, derivative: int = 0) -> Array:
    """At (n,) places, or a derivative there."""
    origin, value, b, c, d = pieces(tuple(x), tuple(y))[np.searchsorted(x, q, side="right")].T
    t = q - origin
    if derivative == 0:
        return np.asarray(value + b * t + c * t**2 + d * t**3)
    return np.asarray(b + 2 * c * t + 3 * d * t**2 if derivative == 1 else 2 * c + 6 * d * t)


def test_a_spline_through_five_knots_worked_by_hand() -> None:
    x, y = np.arange(5.0), np.array([0.0, 0.0, 1.0, 0.0, 0.0])
    found = pieces(tuple(x), tuple(y))
    first = (0.0, 0.0, -5 / 3, 13 / 6, -1 / 2)
    second = (1.0, 0.0, 7 / 6, 2 / 3, -5 / 6)
    np.testing.assert_allclose(found[1:3], [first, second], atol=1e-15)
    np.testing.assert_allclose(evaluate(x, y, np.array([0.5, 1.5, 2.5, 3.5])), [-17 / 48, 31 / 48, 31 / 48, -17 / 48])


def test_two_knots_make_a_straight_line() -> None:
    x, y = np.array([1.0, 3.0]), np.array([2.0, -4.0])
    q = np.array([-5.0, 1.0, 2.0, 3.0, 10.0])
    np.testing.assert_allclose(evaluate(x, y, q), 5.0 - 3.0 * q)
    assert not pieces(tuple(x), tuple(y))[:, 3:].any()


def test_three_knots_make_a_parabola() -> None:
    x, q = np.array([-1.0, 0.5, 2.0]), np.linspace(-1, 2, 13)
    np.testing.assert_allclose(evaluate(x, 3 * x**2 - x + 2, q), 3 * q**2 - q + 2, rtol=1e-13)


@pytest.mark.parametrize("knots", [4, 5, 9])
def test_four_and_more_knots_reproduce_a_cubic(knots: int) -> None:
    x = np.sort(np.random.default_rng(knots).uniform(-2, 2, knots))
    q = np.linspace(x[0], x[-1], 50)
    found = [evaluate(x, x**3 - 2 * x**2 + 0.5 * x - 1, q, derivative) for derivative in range(3)]
    exact = (q**3 - 2 * q**2 + 0.5 * q - 1, 3 * q**2 - 4 * q + 0.5, 6 * q - 4)
    # At the last knot itself the straight line outside holds, which is not bent.
    np.testing.assert_allclose(found[0], exact[0], atol=1e-12)
    np.testing.assert_allclose(found[1], exact[1], atol=1e-11)
    np.testing.assert_allclose(found[2][:-1], exact[2][:-1], atol=1e-10)


def test_it_goes_through_its_knots_smoothly_and_leaves_them_straight() -> None:
    rng = np.random.default_rng(7)
    x, y = np.sort(rng.uniform(-2, 2, 8)), rng.normal(0, 1, 8)
    np.testing.assert_allclose(evaluate(x, y, x), y, atol=1e-14)
    below, above = np.nextafter(x, -9), x
    for derivative in (0, 1):
        np.testing.assert_allclose(evaluate(x, y, below, derivative), evaluate(x, y, above, derivative), atol=1e-10)
    inner = slice(1, -1)
    np.testing.assert_allclose(evaluate(x, y, below, 2)[inner], evaluate(x, y, above, 2)[inner], atol=1e-9)
    ends, slopes = x[[0, -1]], evaluate(x, y, x[[0, -1]], 1)
    outside = np.array([-3.0, 4.0])
    np.testing.assert_allclose(evaluate(x, y, outside), y[[0, -1]] + slopes * (outside - ends), rtol=1e-13)
    assert not evaluate(x, y, outside, 2).any()


@pytest.mark.parametrize(
    ("x", "y"),
    [((1.0,), (2.0,)), ((), ()), ((0.0, 0.0), (1.0, 2.0)), ((1.0, 0.0, 2.0), (0.0, 0.0, 0.0)), ((0.0, 1.0), (1.0,))],
)
def test_knots_that_make_no_curve_are_refused(x: tuple[float, ...], y: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="at least two increasing knots and a value for each"):
        pieces(x, y)


@pytest.mark.opensim
@pytest.mark.parametrize("knots", [2, 3, 4, 5, 12])
def test_it_is_opensim_s(knots: int) -> None:
    import opensim

    rng = np.random.default_rng(knots)
    x, y = np.sort(rng.uniform(-2, 2, knots)), rng.normal(0, 1, knots)
    theirs = opensim.SimmSpline()
    for point in zip(x.tolist(), y.tolist(), strict=True):
        theirs.addPoint(*point)
    q = np.linspace(-3, 3, 41)
    vectors = [opensim.Vector(1, one) for one in q.tolist()]
    np.testing.assert_allclose(evaluate(x, y, q), [theirs.calcValue(one) for one in vectors], rtol=1e-11, atol=1e-11)
    for derivative in (1, 2):
        order = opensim.StdVectorInt([0] * derivative)
        values = [theirs.calcDerivative(order, one) for one in vectors]
        np.testing.assert_allclose(evaluate(x, y, q, derivative), values, rtol=1e-10, atol=1e-10)
