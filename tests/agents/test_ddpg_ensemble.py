"""REDQ: which critics count, which learn, and when actor and targets move."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from agents.ddpg import Algorithm, build_algorithm
from agents.experience import Batch
from tests.learning import Arrays, linear, random_batch, with_arrays

VALUES = (1.0, 2.0, 3.0)


def ensemble(subset: int, *, policy_delay: int = 1000, tau: float = 1e-9) -> Algorithm:
    """Three linear critics that say 0; their targets say 1, 2, 3 of anything."""
    rates = {"actor_lr": 0.01, "critic_lr": 0.02, "tau": tau}
    settings = {"hidden": (), "critics": 3, "subset": subset, "policy_delay": policy_delay, **rates}
    algorithm = build_algorithm("redq", 5, 3, settings=settings, seed=1)
    arrays: Arrays = {}
    for index, value in enumerate(VALUES):
        arrays |= linear(f"critic/network/bodies.{index}", [[0.0] * 8], [0.0])
        arrays |= linear(f"critic/target/bodies.{index}", [[0.0] * 8], [value])
    with_arrays(algorithm, arrays)
    return algorithm


def plain_batch(seed: int = 0) -> Batch:
    """The target is the value that follows."""
    batch = random_batch(seed, 4)
    return dataclasses.replace(batch, reward=0 * batch.reward, discount=np.ones(4, np.float32))


@pytest.mark.parametrize(("subset", "shares"), [(1, [1 / 3, 1 / 3, 1 / 3]), (2, [2 / 3, 1 / 3, 0]), (3, [1, 0, 0])])
def test_smallest_value_of_a_random_subset_counts(subset: int, shares: list[float]) -> None:
    algorithm = ensemble(subset)
    targets = [round(algorithm.update(plain_batch())["critic/target"], 3) for _ in range(600)]

    # Of the pairs out of three, two hold the smallest.
    assert [targets.count(value) / 600 for value in VALUES] == pytest.approx(shares, abs=0.07)


def test_every_critic_learns_at_every_update_and_its_error_is_their_mean() -> None:
    algorithm = ensemble(3)
    arrays: Arrays = {}
    for index, value in enumerate((4.0, 5.0, 0.0)):
        arrays |= linear(f"critic/network/bodies.{index}", [[0.0] * 8], [value])
    with_arrays(algorithm, arrays)
    metrics = algorithm.update(plain_batch())

    np.testing.assert_allclose(algorithm.td_error, (3 + 4 + 1) / 3, rtol=1e-6)
    weight = plain_batch().weight.mean()
    assert metrics["critic/loss"] == pytest.approx(weight * (9 + 16 + 1), rel=1e-5)
    after = algorithm.state().tensors
    moved = [float(after[f"critic/network/bodies.{i}.final.bias"][0]) for i in range(3)]
    assert moved == pytest.approx([3.98, 4.98, 0.02], rel=1e-4)


def test_targets_follow_at_every_update_and_the_actor_waits() -> None:
    algorithm = ensemble(2, policy_delay=3, tau=0.5)
    before = algorithm.state().tensors
    metrics = [algorithm.update(plain_batch(seed)) for seed in range(2)]
    held = algorithm.state().tensors
    third = algorithm.update(plain_batch(2))

    assert all("actor/value" not in found for found in metrics)
    assert "actor/value" in third
    actor, target = "actor/network/body.final.bias", "critic/target/bodies.2.final.bias"
    np.testing.assert_array_equal(held[actor], before[actor])
    assert (algorithm.state().tensors[actor] != before[actor]).all()
    assert abs(held[target] - 3.0 / 4) < 0.05, "half way to the network, twice"


def test_actor_climbs_all_critics() -> None:
    algorithm = ensemble(2, policy_delay=1)
    weights: Arrays = {}
    for index, slope in enumerate((1.0, 1.0, -5.0)):
        weights |= linear(f"critic/network/bodies.{index}", [[0.0] * 5 + [slope] * 3], [0.0])
    with_arrays(algorithm, weights | linear("actor/network/body", [[0.0] * 5] * 3, [0.0] * 3))
    algorithm.update(plain_batch())

    np.testing.assert_allclose(algorithm.state().tensors["actor/network/body.final.bias"], -0.01, rtol=1e-3)
