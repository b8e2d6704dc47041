from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.normalisation import Normaliser, RunningNormaliser

MEAN = np.array([0.0, 1e4, -3.0, 0.5])
DEVIATION = np.array([1.0, 0.5, 25.0, 1e-3])


def observations(rows: int, seed: int = 0) -> NDArray[np.float64]:
    drawn = np.random.default_rng(seed).standard_normal((rows, 4))
    return np.asarray(drawn * DEVIATION + MEAN)


def fed(*batches: NDArray[Any]) -> RunningNormaliser:
    normaliser = RunningNormaliser(4)
    for batch in batches:
        normaliser.update(batch)
    return normaliser


@pytest.mark.parametrize("sizes", [[1000], [1] * 50 + [950], [1, 999], [500, 0, 500]])
def test_statistics_equal_those_of_all_rows_at_once_however_they_arrive(sizes: list[int]) -> None:
    rows = observations(1000)
    normaliser = fed(*np.split(rows, np.cumsum(sizes)[:-1]))

    assert normaliser.count == 1000
    np.testing.assert_allclose(normaliser.mean, rows.mean(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(normaliser.variance, rows.var(axis=0), rtol=1e-9)


def test_hand_worked_mean_and_variance() -> None:
    normaliser = RunningNormaliser(1)
    normaliser.update(np.array([[1.0], [3.0]]))
    normaliser.update(np.array([[8.0]]))

    assert normaliser.mean[0] == pytest.approx(4.0)
    assert normaliser.variance[0] == pytest.approx((9 + 1 + 16) / 3)
    assert normaliser(np.array([8.0], np.float32))[0] == pytest.approx(4 / np.sqrt(26 / 3))


def test_normalised_features_have_mean_0_and_deviation_1() -> None:
    rows = observations(5000)
    result = fed(rows)(rows.astype(np.float32))

    assert result.dtype == np.float32
    np.testing.assert_allclose(result.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(result.std(axis=0), 1, atol=0.01)


def test_results_are_clipped() -> None:
    normaliser = fed(observations(100))

    far = normaliser(np.full(4, 1e9, np.float32))
    np.testing.assert_array_equal(far, 10.0)
    np.testing.assert_array_equal(normaliser(np.full(4, -1e9, np.float32)), -10.0)


@pytest.mark.parametrize("noise", [0.0, 1e-9])
@pytest.mark.parametrize("value", [0.0, 3.0, -1e5])
def test_constant_feature_becomes_zero_even_where_it_later_moves(value: float, noise: float) -> None:
    rows = observations(200)
    rows[:, 2] = value + noise * np.random.default_rng(1).standard_normal(200)
    normaliser = fed(rows)

    assert normaliser(rows[0].astype(np.float32))[2] == 0.0
    assert normaliser(np.full(4, value + 1, np.float32))[2] == 0.0


def test_a_batch_and_its_rows_are_normalised_alike() -> None:
    normaliser = fed(observations(100))
    rows = observations(5, seed=1).astype(np.float32)

    np.testing.assert_array_equal(normaliser(rows), np.stack([normaliser(row) for row in rows]))


def test_normalising_leaves_its_input_alone() -> None:
    rows = observations(5).astype(np.float32)
    copy = rows.copy()
    fed(rows)(rows)

    np.testing.assert_array_equal(rows, copy)


def test_frozen_copy_does_not_follow_later_updates() -> None:
    normaliser = fed(observations(100))
    frozen, probe = normaliser.frozen(), observations(1, seed=5)[0].astype(np.float32)
    before = frozen(probe)
    np.testing.assert_array_equal(normaliser(probe), before)
    normaliser.update(observations(100) * 3 + 7)

    np.testing.assert_array_equal(frozen(probe), before)
    assert not np.allclose(normaliser(probe), before)


def test_before_the_first_update_it_only_clips() -> None:
    probe = np.array([0.5, -2.0, 50.0, 0.0], np.float32)

    np.testing.assert_array_equal(RunningNormaliser(4)(probe), [0.5, -2.0, 10.0, 0.0])
    np.testing.assert_array_equal(Normaliser.identity(4)(probe), [0.5, -2.0, 10.0, 0.0])


def test_restored_normaliser_goes_on_bit_for_bit() -> None:
    straight = fed(observations(100), observations(77, seed=1))
    first = fed(observations(100))
    restored = RunningNormaliser(4, clip=3.0)
    restored.load_state_dict(first.state_dict())
    restored.update(observations(77, seed=1))

    for name, array in straight.state_dict().items():
        np.testing.assert_array_equal(array, restored.state_dict()[name])


def test_saved_state_does_not_change_with_later_updates() -> None:
    normaliser = fed(observations(100))
    state = normaliser.state_dict()
    before = {name: array.copy() for name, array in state.items()}
    normaliser.update(observations(100) + 5)

    for name, array in before.items():
        np.testing.assert_array_equal(state[name], array)


def test_non_finite_observations_are_refused_and_named() -> None:
    normaliser = fed(observations(10))
    bad = observations(10)
    bad[3, 2] = np.nan
    bad[5, 1], bad[6, 1] = np.inf, -np.inf

    with pytest.raises(ValueError, match=r"features \[1, 2\] are not finite"):
        normaliser.update(bad)
    assert normaliser.count == 10


def test_other_widths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 5\), the normaliser needs \(B, 4\)"):
        RunningNormaliser(4).update(np.zeros((3, 5)))
    with pytest.raises(ValueError, match=r"shape \(4,\), needed \(5,\)"):
        RunningNormaliser(5).load_state_dict(RunningNormaliser(4).state_dict())
    with pytest.raises(ValueError, match="clip=0"):
        RunningNormaliser(4, clip=0)
