"""The sum tree against the literal way: end to end, and where each mass falls."""

from __future__ import annotations

import numpy as np
import pytest

from agents.replay.sampling.sum_tree import SumTree


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 255, 257, 5000])
def test_a_mass_falls_into_the_leaf_that_holds_it(size: int) -> None:
    rng = np.random.default_rng(size)
    # Small integers: their sums are exact, so the literal way has no rounding of its own.
    values = rng.integers(0, 5, size).astype(float)
    values[rng.integers(size)] += 1.0
    tree = SumTree(size)
    tree.set(np.arange(size), values)
    assert tree.total == values.sum()
    mass = np.arange(0.0, values.sum(), 0.25)
    np.testing.assert_array_equal(tree.find(mass), np.searchsorted(values.cumsum(), mass, side="right"))


def test_a_changed_leaf_changes_every_sum_above_it_and_no_error_adds_up() -> None:
    rng = np.random.default_rng(0)
    tree = SumTree(3000)
    expected = np.zeros(3000)
    for _ in range(200):
        leaf = rng.integers(0, 3000, 40)
        value = rng.random(40) * 10.0 ** rng.integers(-8, 8, 40)
        tree.set(leaf, value)
        expected[leaf] = value
    np.testing.assert_array_equal(tree.values(np.arange(3000)), expected)
    fresh = SumTree(3000)
    fresh.set(np.arange(3000), expected)
    assert tree.total == fresh.total
    tree.set(np.arange(3000), 0.0)
    assert tree.total == 0.0


def test_of_a_leaf_named_twice_the_last_value_counts() -> None:
    tree = SumTree(100)
    tree.set(np.array([7, 7, 9, 7]), np.array([1.0, 2.0, 5.0, 3.0]))
    assert tree.values(np.array([7, 9])).tolist() == [3.0, 5.0]
    assert tree.total == 8.0


def test_an_empty_leaf_is_never_found_even_at_the_very_end() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        size = int(rng.integers(2, 700))
        values = rng.random(size) * (rng.random(size) < 0.2)
        values[rng.integers(size)] = 1e-12
        tree = SumTree(size)
        tree.set(np.arange(size), values)
        total = tree.total
        mass = np.concatenate([rng.random(500) * total, [0.0, total, np.nextafter(total, 0.0), total * (1 + 1e-15)]])
        assert (values[tree.find(mass)] > 0).all()
