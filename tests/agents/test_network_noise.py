"""Exploration through the policy's network: parameter noise, state-dependent noise, latent noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.exploration.config import ExplorationConfig, Kind
from agents.exploration.ladder import Ladder
from agents.exploration.lattice import LatticeNoise
from agents.exploration.parameter import ParameterNoise, Seen
from agents.exploration.state_dependent import StateDependentNoise
from agents.networks import arrays_of
from tests.policies import ACTIONS, OBSERVATIONS, small_policy

NETWORKS = pytest.mark.parametrize("network", ["mlp", "residual"])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def observations(count: int, seed: int = 0) -> NDArray[np.float32]:
    return rng(seed).standard_normal((count, OBSERVATIONS)).astype(np.float32)


def met(count: int = 600) -> Seen:
    seen = Seen()
    for observation in observations(count, seed=1):
        seen.add(observation)
    return seen


def deviation(difference: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(difference))))


@pytest.mark.parametrize("sigma", [0.05, 0.2, 0.4])
@NETWORKS
def test_perturbed_weights_change_actions_by_sigma(network: str, sigma: float) -> None:
    policy, unseen = small_policy(network=network), observations(200, seed=2)
    exploration = ParameterNoise(sigma, met(), rng())
    found = []
    for _ in range(8):
        exploration.reset(policy)
        found.append(deviation(np.stack([exploration(one) for one in unseen]) - policy(unseen)))

    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(sigma, rel=0.2)
    assert max(found) < 1.6 * sigma


def test_perturbed_weights_act_all_episode_long_and_others_in_the_next() -> None:
    policy, (one, other) = small_policy(), observations(2)
    exploration = ParameterNoise(0.3, met(), rng())
    exploration.reset(policy)
    first = exploration(one)
    exploration(other)

    np.testing.assert_array_equal(exploration(one), first)
    exploration.reset(policy)
    assert deviation(exploration(one) - first) > 0.05


def test_parameter_noise_leaves_the_policy_as_it_was() -> None:
    policy, (one,) = small_policy(), observations(1)
    before = arrays_of(policy.actor, "")
    exploration = ParameterNoise(0.3, met(), rng())
    exploration.reset(policy)
    exploration(one)

    after = arrays_of(policy.actor, "")
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_normalisation_layers_are_not_perturbed() -> None:
    policy, (one,) = small_policy(network="residual"), observations(1)
    exploration = ParameterNoise(0.3, met(), rng())
    exploration.reset(policy)
    exploration(one)
    assert exploration.acting is not None
    own, perturbed = (arrays_of(of.actor, "") for of in (policy, exploration.acting))

    for name in own:
        assert np.array_equal(own[name], perturbed[name]) == ("norm" in name), name


def test_before_anything_was_met_the_first_observation_sets_the_scale() -> None:
    policy, (one,) = small_policy(), observations(1)
    exploration = ParameterNoise(0.2, Seen(), rng())
    exploration.reset(policy)

    assert deviation(exploration(one) - policy(one)) == pytest.approx(0.2, rel=0.02)


def test_more_than_the_tanh_leaves_room_for_is_not_asked_for_in_vain() -> None:
    policy, many = small_policy(), observations(300, seed=3)
    exploration = ParameterNoise(3.0, met(), rng())
    exploration.reset(policy)
    actions = np.stack([exploration(one) for one in many])

    assert np.isfinite(actions).all()
    assert deviation(actions - policy(many)) > 0.5


def test_what_a_worker_met_is_remembered_over_its_episodes() -> None:
    config = ExplorationConfig(kind="parameter", noise_free_share=0.0)
    ladder = Ladder(config=config, worker_index=0, workers=1, dt_s=0.04, decisions=10, seed=0)
    for number in range(2):
        exploration = ladder.for_episode(number)
        exploration.reset(small_policy())
        for one in observations(100, seed=number):
            exploration(one)

    np.testing.assert_array_equal(ladder.seen.rows(), np.concatenate([observations(100), observations(100, 1)])[::8])


def test_only_the_latest_are_remembered() -> None:
    np.testing.assert_array_equal(met(1000).rows(), observations(1000, seed=1)[::8][-64:])


def many_draws(exploration: StateDependentNoise, *, network: str = "mlp", count: int = 3000) -> NDArray[np.float32]:
    """(count, M): noise in one state, at the first decisions of so many episodes."""
    policy, (one,) = small_policy(network=network), observations(1)
    noise = []
    for _ in range(count):
        exploration.reset(policy)
        noise.append(exploration(one) - policy(one))
    return np.stack(noise)


@NETWORKS
def test_state_dependent_noise_has_its_deviation_and_muscles_of_their_own(network: str) -> None:
    noise = many_draws(StateDependentNoise(0.04, 16, rng()), network=network)

    np.testing.assert_allclose(np.cov(noise.T) / 0.04**2, np.eye(ACTIONS), atol=0.12)
    assert abs(noise.mean()) < 0.002


@pytest.mark.parametrize("exploration", [StateDependentNoise(0.1, 4, rng()), LatticeNoise(0.1, 4, 0.5, rng())])
def test_equal_states_get_equal_noise_until_the_matrix_is_drawn_anew(exploration: StateDependentNoise) -> None:
    policy, (one, other) = small_policy(), observations(2)
    exploration.reset(policy)
    noise = [exploration(one), exploration(other), exploration(one), exploration(one), exploration(one)]

    np.testing.assert_array_equal(noise[2], noise[0])
    np.testing.assert_array_equal(noise[3], noise[0])
    assert deviation(noise[4] - noise[0]) > 0.01
    assert deviation((noise[1] - policy(other)) - (noise[0] - policy(one))) > 0.001


def test_noise_is_linear_in_the_direction_of_the_features() -> None:
    policy, rows = small_policy(), observations(200)
    exploration = StateDependentNoise(0.05, 1000, rng())
    exploration.reset(policy)
    noise = np.stack([exploration(row) - policy(row) for row in rows])
    features = np.stack([policy.features(row) for row in rows])
    directions = features / np.linalg.norm(features, axis=1, keepdims=True)
    matrix, *_ = np.linalg.lstsq(directions, noise, rcond=None)

    np.testing.assert_allclose(directions @ matrix, noise, atol=1e-5)


def test_features_are_what_the_final_layer_sees() -> None:
    for network in ("mlp", "residual"):
        policy, (one,) = small_policy(network=network), observations(1)
        final = policy.actor.body.final
        weight, bias = final.weight.numpy(), final.bias.numpy()

        np.testing.assert_allclose(np.tanh(weight @ policy.features(one) + bias), policy(one), atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_latent_noise_moves_together_what_the_last_layer_moves_together(share: float) -> None:
    noise = many_draws(LatticeNoise(0.04, 16, share, rng()))
    weight = small_policy().actor.body.final.weight.double().numpy()
    together = weight @ weight.T * ACTIONS / np.trace(weight @ weight.T)
    expected = (1 - share) * np.eye(ACTIONS) + share * together

    np.testing.assert_allclose(np.cov(noise.T) / 0.04**2, expected, atol=0.15)
    assert np.square(noise).mean() == pytest.approx(0.04**2, rel=0.05)


def test_latent_noise_of_more_muscles_than_features_keeps_its_covariance() -> None:
    policy, (one,) = small_policy(actions=40), observations(1)
    exploration, noise = LatticeNoise(0.05, 16, 1.0, rng()), []
    for _ in range(2000):
        exploration.reset(policy)
        noise.append(exploration(one) - policy(one))
    found = np.linalg.eigvalsh(np.cov(np.stack(noise).T))

    assert (found[:8] < 1e-6).all(), "32 features can not move 40 muscles in 40 directions"
    assert np.square(np.stack(noise)).mean() == pytest.approx(0.05**2, rel=0.05)


@pytest.mark.parametrize("kind", ["parameter", "state_dependent", "lattice"])
def test_the_same_seed_gives_the_same_episode(kind: Kind) -> None:
    def episode() -> NDArray[np.float32]:
        config = ExplorationConfig(kind=kind, noise_free_share=0.0)
        ladder = Ladder(config=config, worker_index=0, workers=1, dt_s=0.04, decisions=10, seed=5)
        exploration = ladder.for_episode(2)
        exploration.reset(small_policy())
        return np.stack([exploration(one) for one in observations(20)])

    np.testing.assert_array_equal(episode(), episode())
