from __future__ import annotations

import json
import math

import numpy as np
import pytest

from agents.exploration import (
    KINDS,
    ExplorationConfig,
    GaussianNoise,
    Kind,
    Ladder,
    NoExploration,
    OrnsteinUhlenbeckNoise,
    UniformActions,
    build_exploration,
)

ZEROS = np.zeros(19, np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ladder(worker: int = 0, workers: int = 1, **settings: object) -> Ladder:
    config = ExplorationConfig(**settings)  # type: ignore[arg-type]
    return Ladder(config=config, worker_index=worker, workers=workers, dt_s=0.04, seed=7)


def sigma(exploration: object) -> float:
    described = exploration.describe()  # type: ignore[attr-defined]
    return float(described.get("sigma", 0.0))


@pytest.mark.parametrize("kind", KINDS)
def test_actions_stay_in_range_and_float32(kind: Kind) -> None:
    exploration = build_exploration(kind, rng(), sigma=3.0)
    actions = np.stack([exploration(np.full(19, 0.9, np.float32)) for _ in range(200)])

    assert actions.dtype == np.float32
    assert actions.shape == (200, 19)
    assert np.abs(actions).max() <= 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_the_policys_own_action_is_left_alone(kind: Kind) -> None:
    action = np.full(19, 0.25, np.float32)
    result = build_exploration(kind, rng())(action)
    result[:] = 9

    np.testing.assert_array_equal(action, np.float32(0.25))


@pytest.mark.parametrize("kind", KINDS)
def test_description_is_plain_data_that_names_the_kind(kind: Kind) -> None:
    described = build_exploration(kind, rng()).describe()

    assert described["kind"] == kind
    assert json.loads(json.dumps(described)) == described


def test_no_exploration_changes_nothing() -> None:
    action = rng().uniform(-1, 1, 19).astype(np.float32)

    np.testing.assert_array_equal(NoExploration()(action), action)


def test_gaussian_noise_has_its_deviation_and_no_memory() -> None:
    exploration = GaussianNoise(0.1, rng())
    noise = np.stack([exploration(ZEROS) for _ in range(4000)])

    assert noise.mean() == pytest.approx(0, abs=0.002)
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    assert np.mean(noise[1:] * noise[:-1]) / 0.01 == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(("theta_per_s", "dt_s"), [(4.0, 0.04), (1.0, 0.01), (20.0, 0.1)])
def test_ornstein_uhlenbeck_noise_has_its_deviation_and_correlation(theta_per_s: float, dt_s: float) -> None:
    exploration = OrnsteinUhlenbeckNoise(0.2, theta_per_s, dt_s, rng())
    wide = np.zeros(2000, np.float32)
    noise = np.stack([exploration(wide) for _ in range(200)])

    assert noise.std() == pytest.approx(0.2, rel=0.03)
    assert np.mean(noise[1:] * noise[:-1]) / 0.04 == pytest.approx(math.exp(-theta_per_s * dt_s), abs=0.03)


def test_ornstein_uhlenbeck_noise_is_as_wide_at_the_start_as_later() -> None:
    exploration = OrnsteinUhlenbeckNoise(0.2, 4.0, 0.04, rng())

    assert exploration(np.zeros(5000, np.float32)).std() == pytest.approx(0.2, rel=0.04)


def test_reset_forgets_the_noise_of_the_last_episode() -> None:
    exploration = OrnsteinUhlenbeckNoise(0.2, 0.01, 0.04, rng())
    wide = np.zeros(5000, np.float32)
    last = exploration(wide)
    follows = exploration(wide)
    exploration.reset()
    fresh = exploration(wide)

    assert np.corrcoef(last, follows)[0, 1] > 0.99
    assert abs(np.corrcoef(follows, fresh)[0, 1]) < 0.05


def test_uniform_actions_cover_the_range_and_ignore_the_policy() -> None:
    one, other = UniformActions(rng()), UniformActions(rng())
    actions = np.stack([one(ZEROS) for _ in range(2000)])

    np.testing.assert_array_equal(actions[0], other(np.ones(19, np.float32)))
    assert actions.mean() == pytest.approx(0, abs=0.02)
    assert actions.var() == pytest.approx(1 / 3, rel=0.02)


@pytest.mark.parametrize("workers", [1, 2, 3, 8, 40])
def test_stated_share_of_episodes_is_noise_free(workers: int) -> None:
    ladders = [ladder(worker, workers, noise_free_share=0.2) for worker in range(workers)]
    free = [isinstance(one.for_episode(n), NoExploration) for one in ladders for n in range(2000 // workers)]

    assert np.mean(free) == pytest.approx(0.2, abs=0.02)


def test_a_single_worker_alternates_and_passes_all_levels() -> None:
    levels = [sigma(ladder(kind="gaussian").for_episode(n)) for n in range(20)]
    noisy = sorted(level for level in levels if level > 0)

    assert 2 <= levels.count(0.0) <= 6
    assert all(levels[n] > 0 or levels[n + 1] > 0 for n in range(19))
    assert noisy[0] < 0.08
    assert noisy[-1] > 0.3


def test_many_workers_hold_different_levels_at_the_same_time() -> None:
    levels = sorted(sigma(ladder(worker, 20, kind="gaussian").for_episode(5)) for worker in range(20))

    assert levels.count(0.0) == 4
    noisy = np.array(levels[4:])
    ratios = noisy[1:] / noisy[:-1]
    np.testing.assert_allclose(ratios, (0.4 / 0.05) ** (1 / 16), rtol=1e-6)


def test_levels_stay_between_the_stated_ends() -> None:
    levels = [sigma(ladder(noise_free_share=0.0).for_episode(n)) for n in range(500)]

    assert 0.05 <= min(levels) < 0.051
    assert 0.395 < max(levels) <= 0.4


def test_all_or_none_can_be_noise_free() -> None:
    assert all(isinstance(ladder(noise_free_share=1.0).for_episode(n), NoExploration) for n in range(50))
    assert not any(isinstance(ladder(noise_free_share=0.0).for_episode(n), NoExploration) for n in range(50))


def test_an_episodes_noise_repeats_and_differs_from_other_episodes_and_workers() -> None:
    config = {"kind": "gaussian", "noise_free_share": 0.0}
    first = ladder(0, 2, **config).for_episode(3)(ZEROS)

    np.testing.assert_array_equal(first, ladder(0, 2, **config).for_episode(3)(ZEROS))
    for other in (ladder(0, 2, **config).for_episode(4), ladder(1, 2, **config).for_episode(3)):
        assert abs(np.corrcoef(first, other(ZEROS))[0, 1]) < 0.9


def test_decision_interval_reaches_the_noise() -> None:
    config = ExplorationConfig(noise_free_share=0.0)
    exploration = Ladder(config=config, worker_index=0, workers=1, dt_s=0.1, seed=0).for_episode(0)

    assert exploration.describe()["dt_s"] == 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "brownian"}, "needed one of none, gaussian"),
        ({"sigma_min": 0.0}, "0 < sigma_min"),
        ({"sigma_min": 0.5, "sigma_max": 0.1}, "0.5 and 0.1"),
        ({"noise_free_share": 1.5}, "noise_free_share is 1.5"),
        ({"theta_per_s": -1.0}, "theta_per_s is -1.0"),
    ],
)
def test_nonsense_is_refused_early(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExplorationConfig(**settings)  # type: ignore[arg-type]


def test_worker_outside_the_workers_is_refused() -> None:
    with pytest.raises(ValueError, match="worker_index is 2"):
        ladder(2, 2)
