"""Every kind of exploration, and the ladder of levels; `test_network_noise.py` has those that need the network."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from agents.exploration.build import build_exploration
from agents.exploration.config import KINDS, ExplorationConfig, Kind
from agents.exploration.contract import ActionExploration, Exploration, Float32
from agents.exploration.fallback import WithFallback
from agents.exploration.gaussian import GaussianNoise
from agents.exploration.ladder import Ladder
from agents.exploration.none import NoExploration
from agents.exploration.ornstein_uhlenbeck import OrnsteinUhlenbeckNoise
from agents.exploration.parameter import Seen
from agents.exploration.uniform import UniformActions
from tests.policies import ACTIONS, OBSERVATIONS, small_policy

ZEROS = np.zeros(19, np.float32)
NETWORK_KINDS: tuple[Kind, ...] = ("parameter", "state_dependent", "lattice")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ladder(worker: int = 0, workers: int = 1, **settings: Any) -> Ladder:
    config = ExplorationConfig(**settings)
    return Ladder(config=config, worker_index=worker, workers=workers, dt_s=0.04, decisions=250, seed=7)


def sigma(exploration: Exploration) -> float:
    return float(exploration.describe().get("sigma", 0.0))


def built(kind: Kind, level: float = 0.1) -> Exploration:
    config = ExplorationConfig(kind=kind)
    return build_exploration(config, rng(), sigma=level, dt_s=0.04, decisions=250, seen=Seen())


def around(exploration: Exploration, action: Float32 = ZEROS) -> Exploration:
    """At the start of an episode of a policy that always does the same."""
    exploration.reset(lambda observation: action)
    return exploration


@pytest.mark.parametrize("kind", KINDS)
def test_actions_stay_in_range_and_float32(kind: Kind) -> None:
    exploration, observations = built(kind, 3.0), rng().standard_normal((200, OBSERVATIONS)).astype(np.float32)
    exploration.reset(small_policy())
    actions = np.stack([exploration(observation) for observation in observations])

    assert actions.dtype == np.float32
    assert actions.shape == (200, ACTIONS)
    assert np.abs(actions).max() <= 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_the_policys_own_action_is_left_alone(kind: Kind) -> None:
    action = np.full(19, 0.25, np.float32)
    result = around(built(kind), action)(ZEROS)
    result[:] = 9

    np.testing.assert_array_equal(action, np.float32(0.25))


@pytest.mark.parametrize("kind", KINDS)
def test_description_is_plain_data_that_names_the_kind(kind: Kind) -> None:
    exploration = built(kind)
    for _ in range(2):
        described = exploration.describe()
        assert described["kind"] == kind
        assert ("sigma" in described) == (kind not in ("none", "uniform"))
        assert json.loads(json.dumps(described)) == described
        exploration.reset(small_policy())


@pytest.mark.parametrize("kind", NETWORK_KINDS)
def test_a_policy_without_a_network_gets_independent_noise_of_the_same_level_and_says_so(kind: Kind) -> None:
    exploration = around(built(kind))
    noise = np.stack([exploration(ZEROS) for _ in range(4000)])

    assert isinstance(exploration, WithFallback)
    assert exploration.describe() == {"kind": "gaussian", "sigma": 0.1}
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    exploration.reset(small_policy())
    assert exploration.describe()["kind"] == kind


def test_no_exploration_changes_nothing() -> None:
    action = rng().uniform(-1, 1, 19).astype(np.float32)

    np.testing.assert_array_equal(around(NoExploration(), action)(ZEROS), action)


def test_gaussian_noise_has_its_deviation_and_no_memory() -> None:
    exploration = around(GaussianNoise(0.1, rng()))
    noise = np.stack([exploration(ZEROS) for _ in range(4000)])

    assert noise.mean() == pytest.approx(0, abs=0.002)
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    assert np.mean(noise[1:] * noise[:-1]) / 0.01 == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(("theta_per_s", "dt_s"), [(4.0, 0.04), (1.0, 0.01), (20.0, 0.1)])
def test_ornstein_uhlenbeck_noise_has_its_deviation_and_correlation(theta_per_s: float, dt_s: float) -> None:
    exploration = around(OrnsteinUhlenbeckNoise(0.2, theta_per_s, dt_s, rng()), np.zeros(2000, np.float32))
    noise = np.stack([exploration(ZEROS) for _ in range(200)])

    assert noise.std() == pytest.approx(0.2, rel=0.03)
    assert np.mean(noise[1:] * noise[:-1]) / 0.04 == pytest.approx(math.exp(-theta_per_s * dt_s), abs=0.03)


def test_ornstein_uhlenbeck_noise_is_as_wide_at_the_start_as_later() -> None:
    exploration = around(OrnsteinUhlenbeckNoise(0.2, 4.0, 0.04, rng()), np.zeros(5000, np.float32))

    assert exploration(ZEROS).std() == pytest.approx(0.2, rel=0.04)


def test_reset_forgets_the_noise_of_the_last_episode() -> None:
    wide = np.zeros(5000, np.float32)
    exploration = around(OrnsteinUhlenbeckNoise(0.2, 0.01, 0.04, rng()), wide)
    last, follows = exploration(ZEROS), exploration(ZEROS)
    fresh = around(exploration, wide)(ZEROS)

    assert np.corrcoef(last, follows)[0, 1] > 0.99
    assert abs(np.corrcoef(follows, fresh)[0, 1]) < 0.05


def test_uniform_actions_cover_the_range_and_ignore_the_policy() -> None:
    one, other = around(UniformActions(rng())), around(UniformActions(rng()), np.ones(19, np.float32))
    actions = np.stack([one(ZEROS) for _ in range(2000)])

    np.testing.assert_array_equal(actions[0], other(ZEROS))
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
    first = around(ladder(0, 2, **config).for_episode(3))(ZEROS)

    np.testing.assert_array_equal(first, around(ladder(0, 2, **config).for_episode(3))(ZEROS))
    for other in (ladder(0, 2, **config).for_episode(4), ladder(1, 2, **config).for_episode(3)):
        assert abs(np.corrcoef(first, around(other)(ZEROS))[0, 1]) < 0.9


def test_decision_interval_reaches_the_noise() -> None:
    config = ExplorationConfig(noise_free_share=0.0)
    exploration = Ladder(config=config, worker_index=0, workers=1, dt_s=0.1, decisions=10, seed=0).for_episode(0)

    assert exploration.describe()["dt_s"] == 0.1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("none", "uniform")])
def test_every_kind_of_noise_stands_on_the_ladder(kind: Kind) -> None:
    explorations = [ladder(kind=kind).for_episode(n) for n in range(50)]
    for exploration in explorations:
        exploration.reset(small_policy())
    levels = [sigma(exploration) for exploration in explorations]

    assert {exploration.describe()["kind"] for exploration in explorations} == {"none", kind}
    assert levels.count(0.0) == pytest.approx(10, abs=2)
    assert min(level for level in levels if level) < 0.06
    assert max(levels) > 0.35


def test_settings_of_a_kind_reach_it() -> None:
    ladders = [
        ladder(kind="pink", beta=0.5, noise_free_share=0.0),
        ladder(kind="state_dependent", resample_decisions=3, noise_free_share=0.0),
        ladder(kind="lattice", resample_decisions=4, correlated_share=0.9, noise_free_share=0.0),
    ]
    pink, state_dependent, lattice = (one.for_episode(0).describe() for one in ladders)

    assert pink["beta"] == 0.5
    assert state_dependent["resample_decisions"] == 3
    assert (lattice["resample_decisions"], lattice["correlated_share"]) == (4, 0.9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "brownian"}, "needed one of none, gaussian"),
        ({"sigma_min": 0.0}, "0 < sigma_min"),
        ({"sigma_min": 0.5, "sigma_max": 0.1}, "0.5 and 0.1"),
        ({"noise_free_share": 1.5}, "noise_free_share is 1.5"),
        ({"theta_per_s": -1.0}, "theta_per_s is -1.0"),
        ({"beta": -0.1}, r"beta is -0.1, needed 0\.\.2"),
        ({"beta": 2.5}, "beta is 2.5"),
        ({"beta": math.nan}, "beta is nan"),
        ({"resample_decisions": 0}, "resample_decisions is 0, needed at least 1"),
        ({"correlated_share": 1.1}, r"correlated_share is 1.1, needed 0\.\.1"),
    ],
)
def test_nonsense_is_refused_early(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExplorationConfig(**settings)


def test_worker_outside_the_workers_is_refused() -> None:
    with pytest.raises(ValueError, match="worker_index is 2"):
        ladder(2, 2)


def test_an_episode_without_decisions_is_refused() -> None:
    with pytest.raises(ValueError, match="decisions is 0, needed at least 1"):
        Ladder(config=ExplorationConfig(), worker_index=0, workers=1, dt_s=0.1, decisions=0, seed=0)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NETWORK_KINDS])
def test_what_needs_the_policy_s_action_alone_makes_the_same_of_it_as_when_it_asks_itself(kind: Kind) -> None:
    policy, observations = small_policy(), rng().standard_normal((20, OBSERVATIONS)).astype(np.float32)
    asking, told = built(kind), built(kind)
    asking.reset(policy)
    told.reset(policy)
    assert isinstance(told, ActionExploration)
    for observation in observations:
        np.testing.assert_array_equal(told.explored(policy(observation)), asking(observation))


@pytest.mark.parametrize("kind", NETWORK_KINDS)
def test_what_needs_the_network_can_not_do_with_an_action(kind: Kind) -> None:
    assert not isinstance(built(kind), ActionExploration)
