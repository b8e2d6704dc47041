"""The running mean of the actor: what it is, that it is resumed, and who acts with it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from agents.averaging import averaged
from agents.checkpoints.contract import Blob
from agents.checkpoints.memory import MemoryCheckpoints
from agents.config import RunConfig
from agents.ddpg import build_algorithm
from agents.ddpg.mean_actor import MeanActor, share
from agents.learner import Learner
from agents.networks import Actor
from agents.policies import PublishedPolicies
from agents.policy import Policy, RandomPolicy
from agents.policy_file import policy_bytes, policy_from
from agents.replay.memory import MemoryReplay
from tests.learning import EVERY_VARIANT, random_batch, same_tensors, small
from tests.runs import RUN, explore, fresh_learner, open_run, small_config


@pytest.mark.parametrize(
    ("updates", "reach", "expected"),
    [
        (10, 1000, 1.0),
        (200, 1000, 1.0),  # a twentieth of it is one step: it is the actor
        (400, 1000, 0.5),  # two steps
        (2_000, 1000, 0.1),
        (20_000, 1000, 0.01),  # the reach, from here on
        (1_000_000, 1000, 0.01),
        (1_000_000, 3, 1.0),
    ],
)
def test_the_mean_is_a_twentieth_of_the_run_old_until_it_reaches_as_far_as_it_may(
    updates: int, reach: int, expected: float
) -> None:
    assert share(updates, reach) == pytest.approx(expected)


def test_the_mean_follows_a_moving_actor_by_hand() -> None:
    actor = Actor(1, 1, ())
    weight = actor.body.final.weight
    weight.data.fill_(6.0)
    mean = MeanActor(actor, 40)
    for _ in range(1000):
        mean.follow()
    weight.data.fill_(10.0)
    values = []
    for _ in range(20):
        mean.follow()
        values.append(mean.network.body.final.weight.item())
    # At every tenth update a quarter of what is left: 6 + 4/4, then 7 + 3/4.
    assert values == [6.0] * 9 + [7.0] * 10 + [7.75]


@EVERY_VARIANT
def test_a_mean_changes_nothing_of_what_is_learned(name: str) -> None:
    plain = build_algorithm(name, 5, 3, settings=small(name), seed=1)
    with_mean = build_algorithm(name, 5, 3, settings=small(name, mean_updates=20), seed=1)
    for seed in range(30):
        plain.update(random_batch(seed))
        with_mean.update(random_batch(seed))

    found = with_mean.state().tensors
    of_mean = {key for key in found if key.startswith("actor/mean")}
    assert same_tensors(plain.state(), Blob({key: found[key] for key in found.keys() - of_mean}, {}))
    assert of_mean
    assert plain.mean is None


def test_a_resumed_mean_goes_on_bit_for_bit() -> None:
    straight, stopped, resumed = (
        build_algorithm("td3", 5, 3, settings=small("td3", mean_updates=30), seed=seed) for seed in (1, 1, 2)
    )
    for seed in range(425):
        straight.update(random_batch(seed % 50))
    for seed in range(410):
        stopped.update(random_batch(seed % 50))
    resumed.restore(stopped.state())
    for seed in range(410, 425):
        resumed.update(random_batch(seed % 50))

    assert same_tensors(straight.state(), resumed.state())
    assert not _equal(straight.mean, straight.actor)


def test_a_state_from_before_there_was_a_mean_begins_one_at_its_actor() -> None:
    before = build_algorithm("td3", 5, 3, settings=small("td3"), seed=1)
    before.update(random_batch(0))
    before.update(random_batch(1))
    after = build_algorithm("td3", 5, 3, settings=small("td3", mean_updates=30), seed=2)
    after.restore(before.state())

    assert _equal(after.mean, before.actor)


def test_a_mean_of_another_size_is_refused() -> None:
    algorithm = build_algorithm("td3", 5, 3, settings=small("td3", mean_updates=30))
    state = algorithm.state()
    broken = {**state.tensors, "actor/mean/body.final.bias": np.zeros(4, np.float32)}
    with pytest.raises(ValueError, match=r"actor/mean/body.final.bias is of shape \(4,\), needed \(3,\)"):
        algorithm.restore(Blob(broken, state.metadata))


@pytest.fixture
def learner() -> Learner:
    """After enough updates for mean and actor to differ."""
    replay = MemoryReplay()
    config = _config(mean_updates=50)
    run = open_run(replay, config)
    explore(replay, config, run, 300)
    learner = fresh_learner(config, run)
    learner.mirror.follow(replay, RUN)
    for _ in range(425):
        learner.learn()
    return learner


def test_workers_explore_with_the_actor_and_everyone_else_gets_the_mean(learner: Learner) -> None:
    store = MemoryCheckpoints()
    blob = learner.policy()
    store.publish(RUN, blob, learner.state(), {"updates": 425})
    policy = Policy.from_blob(store.load(RUN, "policy")[1], version=1)
    first = RandomPolicy(policy.contract, np.random.default_rng(0))
    acting = PublishedPolicies(store, RUN, policy.contract, first, lambda kind, **details: None).latest()

    assert isinstance(acting, Policy)
    assert _equal(acting.actor, learner.algorithm.actor)
    assert _equal(policy.actor, learner.algorithm.mean)
    assert not _equal(policy.actor, acting.actor)
    assert acting.normaliser.mean.tolist() == policy.normaliser.mean.tolist()


def test_what_leaves_the_run_is_the_mean_alone(learner: Learner) -> None:
    policy = Policy.from_blob(learner.policy(), version=1)
    exported, _ = policy_from(policy_bytes(policy, {}), "exported")
    assert _equal(exported.actor, learner.algorithm.mean)
    assert not any(name.startswith("explorer/") for name in exported.to_blob().tensors)
    assert _equal(averaged([policy, policy]).actor, learner.algorithm.mean)


def test_without_a_mean_explorer_and_policy_are_one() -> None:
    config = _config()
    learner = fresh_learner(config, open_run(MemoryReplay(), config))
    blob = learner.policy()
    assert not any(name.startswith("explorer/") for name in blob.tensors)
    assert _equal(Policy.from_blob(blob, version=1, explores=True).actor, learner.algorithm.actor)


def test_a_learner_with_a_mean_is_restored_with_it(learner: Learner) -> None:
    replay = MemoryReplay()
    config = _config(mean_updates=50)
    other = fresh_learner(config, open_run(replay, config), seed=9)
    other.roll_back(learner.state())
    assert _equal(other.algorithm.mean, learner.algorithm.mean)


def _config(**settings: Any) -> RunConfig:
    plain = small_config().plain()
    plain["algorithm"]["settings"] |= settings
    return RunConfig.of(plain)


def _equal(one: Actor | None, other: Actor | None) -> bool:
    assert one is not None
    assert other is not None
    pairs = itertools.zip_longest(one.parameters(), other.parameters())
    return all(torch.equal(first, second) for first, second in pairs)
