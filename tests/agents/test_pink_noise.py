"""Coloured noise: its spectrum, its deviation, and episodes that last longer than expected."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.exploration.pink import PinkNoise

WIDE = np.zeros(300, np.float32)
NOTHING = np.zeros(1, np.float32)


def noise_of(beta: float, decisions: int, count: int, *, sigma: float = 0.1, seed: int = 0) -> NDArray[np.float64]:
    """(count, 300)"""
    exploration = PinkNoise(sigma, beta, decisions, np.random.default_rng(seed))
    exploration.reset(lambda observation: WIDE)
    return np.stack([exploration(NOTHING) for _ in range(count)]).astype(np.float64)


def slope(noise: NDArray[np.float64]) -> float:
    """Of the logarithm of power over that of frequency, between the slowest wave and the fastest."""
    power = np.mean(np.abs(np.fft.rfft(noise, axis=0)) ** 2, axis=1)[1:-1]
    frequency = np.fft.rfftfreq(len(noise))[1:-1]
    return float(np.polyfit(np.log(frequency), np.log(power), 1)[0])


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0])
def test_power_falls_with_frequency_to_the_power_of_beta(beta: float) -> None:
    assert slope(noise_of(beta, 256, 256)) == pytest.approx(-beta, abs=0.1)


@pytest.mark.parametrize("decisions", [256, 255, 2, 1])
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_the_deviation_is_sigma_at_every_decision(beta: float, decisions: int) -> None:
    noise = noise_of(beta, decisions, decisions)

    for place in {0, decisions // 2, decisions - 1}:
        assert noise[place].std() == pytest.approx(0.1, rel=0.15)
    assert noise.std() == pytest.approx(0.1, rel=0.1)


def test_an_episode_that_is_longer_than_expected_goes_on_with_noise_of_its_own() -> None:
    noise = noise_of(1.0, 100, 250)

    assert abs(np.corrcoef(noise[:100].ravel(), noise[100:200].ravel())[0, 1]) < 0.1
    assert noise[200:].std() == pytest.approx(0.1, rel=0.15)


def test_every_episode_draws_its_own_noise_from_its_generator() -> None:
    exploration = PinkNoise(0.1, 1.0, 50, np.random.default_rng(1))
    exploration.reset(lambda observation: WIDE)
    first = exploration(NOTHING)
    exploration.reset(lambda observation: WIDE)

    assert abs(np.corrcoef(first, exploration(NOTHING))[0, 1]) < 0.3
    np.testing.assert_array_equal(noise_of(1.0, 50, 60, seed=2), noise_of(1.0, 50, 60, seed=2))


def test_muscles_are_pushed_independently() -> None:
    noise = noise_of(0.0, 2000, 2000)

    np.testing.assert_allclose(np.corrcoef(noise[:, :5].T), np.eye(5), atol=0.12)
