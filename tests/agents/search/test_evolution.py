"""The evolution strategy: ranks by hand, samples on both sides, and a hill that it climbs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.search.evolution import Evolution, EvolutionConfig, centred_ranks


def climbed(target: np.ndarray, config: EvolutionConfig, largest: float = 2.0) -> Evolution:
    """After all generations of a hill whose top is at `target`."""
    evolution = Evolution(target.shape, largest, config)
    for _ in range(config.generations):
        evolution.tell(-np.square(evolution.ask() - target).sum(axis=(1, 2)))
    return evolution


def test_ranks_are_centred_and_the_sizes_of_values_do_not_matter() -> None:
    assert centred_ranks(np.array([3.0, -1e9, 7.0, 5.0, 1e9])).tolist() == [-0.25, -0.5, 0.25, 0.0, 0.5]


def test_equal_values_share_a_rank() -> None:
    assert centred_ranks(np.array([1.0, 2.0, 2.0, 3.0])).tolist() == pytest.approx([-0.5, 0.0, 0.0, 0.5])
    assert centred_ranks(np.zeros(4)).tolist() == [0.0] * 4


def test_samples_lie_on_both_sides_of_the_mean_at_the_asked_distance() -> None:
    evolution = Evolution((3, 40), 2.0, EvolutionConfig(pairs=50, spread=0.2))
    samples = evolution.ask()
    assert samples.shape == (100, 3, 40)
    np.testing.assert_allclose(samples[:50] + samples[50:], 0.0, atol=1e-12)
    assert samples.std() == pytest.approx(0.2, rel=0.05)


def test_values_that_are_all_equal_move_nothing() -> None:
    evolution = Evolution((2, 2), 2.0, EvolutionConfig())
    evolution.ask()
    evolution.tell(np.full(30, 520.0))
    assert not evolution.mean.any()


def test_it_comes_to_the_top_of_a_hill() -> None:
    target = np.linspace(-0.8, 0.9, 12).reshape(3, 4)
    evolution = climbed(target, EvolutionConfig(generations=200))
    np.testing.assert_allclose(evolution.mean, target, atol=0.05)


def test_no_number_of_the_mean_goes_further_than_it_may() -> None:
    evolution = climbed(np.array([[5.0, -5.0]]), EvolutionConfig(generations=100), largest=1.5)
    np.testing.assert_allclose(evolution.mean, [[1.5, -1.5]], atol=0.02)


def test_the_same_seed_climbs_the_same_way() -> None:
    target = np.ones((2, 2))
    first, second, other = (climbed(target, EvolutionConfig(generations=5, seed=seed)).mean for seed in (1, 1, 2))
    assert (first == second).all()
    assert not (first == other).all()


@pytest.mark.parametrize("wrong", [{"generations": 0}, {"pairs": 0}, {"spread": 0.0}, {"rate": -1.0}, {"final": 0.0}])
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EvolutionConfig(**wrong)
