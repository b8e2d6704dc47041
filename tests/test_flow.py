"""The whole flow in seconds: fake body -> replay -> learner -> checkpoint -> actor, through the real loops."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from agents.actor import EpisodePlan, act, play
from agents.build import build_learner, contract_of, describe_run
from agents.checkpoints.contract import CheckpointStore
from agents.checkpoints.memory import MemoryCheckpoints
from agents.config import RunConfig
from agents.exploration.gaussian import GaussianNoise
from agents.exploration.none import NoExploration
from agents.exploration.uniform import UniformActions
from agents.learner import Feeder, Learner, train
from agents.lease import Lease
from agents.policies import FixedPolicy, PublishedPolicies
from agents.policy import ActingPolicy, RandomPolicy
from agents.publishing import Publisher
from agents.replay.contract import Replay
from agents.replay.memory import MemoryReplay
from agents.replay.runs import ABORTED, Episode, Run
from environment.config import EnvironmentConfig
from environment.physics.contract import SimulationError
from environment.prosthetics import ProstheticsEnv
from tests.fakes import FakePhysics

RUN = "flow"


def small_config(**learner: Any) -> RunConfig:
    return RunConfig.of(
        {
            "environment": {"task": "prosthetics-round1", "max_steps": 60, "frame_skip": 4},
            "replay": {"explore_timesteps": 300, "capacity_timesteps": 5_000, "write_batch": 20},
            "algorithm": {"name": "td3", "settings": {"hidden": [32, 32]}},
            "learner": {"batch_size": 32, "publish_seconds": 1000, "publish_updates": 20, "seed": 3} | learner,
        }
    )


def fake_environment(config: EnvironmentConfig, **physics: Any) -> ProstheticsEnv:
    return ProstheticsEnv(config, FakePhysics(**physics))


def open_run(replay: Replay, config: RunConfig) -> Run:
    return replay.open_run(describe_run(RUN, config, fake_environment(config.environment)))


def act_until(
    replay: Replay, store: CheckpointStore, config: RunConfig, run: Run, enough: Callable[[int], bool]
) -> list[int]:
    """Plays episodes as a worker does until `enough(policy version just used)`; returns the versions used."""
    environment = fake_environment(config.environment)
    contract = contract_of(run, config)
    first = RandomPolicy(contract, np.random.default_rng(0))
    policies = PublishedPolicies(store, RUN, contract, first, lambda kind, **d: replay.event(RUN, "w", kind, **d))
    seeds = itertools.count(1)

    def plan(policy: ActingPolicy) -> EpisodePlan:
        generator = np.random.default_rng(next(seeds))
        if policy.version == 0:
            return EpisodePlan(1, UniformActions(generator), "explore")
        return EpisodePlan(1, GaussianNoise(0.1, generator))

    versions: list[int] = []
    for episode in act(environment, policies, replay.writer(RUN, "w"), plan, environment.physics.name, lambda: False):
        versions.append(episode.start.policy_version)
        if enough(episode.start.policy_version):
            break
    return versions


def train_for(learner: Learner, replay: Replay, store: CheckpointStore, config: RunConfig, updates: int) -> None:
    feeder = Feeder(learner.mirror, replay, RUN)
    feeder.start()
    publisher = Publisher(
        store,
        RUN,
        every_s=config.learner.publish_seconds,
        every_updates=config.learner.publish_updates,
        keep=3,
        protected=list,
        published=lambda version: replay.event(RUN, "learner", "published", version=version.number),
    )
    lease = Lease(replay, RUN, "test", seconds=5)
    lease.take()
    goal = learner.updates + updates
    given_up_s = time.monotonic() + 60
    train(
        learner, feeder, publisher, lease, lambda facts, metrics: None,
        lambda: learner.updates >= goal or time.monotonic() > given_up_s,
    )  # fmt: skip
    feeder.end()
    publisher.close()
    lease.release()
    assert learner.updates == goal


@pytest.fixture
def replay() -> MemoryReplay:
    return MemoryReplay()


@pytest.fixture
def store() -> MemoryCheckpoints:
    return MemoryCheckpoints()


def test_weights_flow_from_random_timesteps_to_the_acting_policy(
    replay: MemoryReplay, store: MemoryCheckpoints
) -> None:
    config = small_config()
    run = open_run(replay, config)
    explored = act_until(replay, store, config, run, lambda _: replay.counts(RUN).timesteps > 400)
    assert set(explored) == {0}

    learner = build_learner(config, run)
    train_for(learner, replay, store, config, updates=50)
    published = [event["details"]["version"] for event in replay.events(RUN, "published")]
    assert published == list(range(1, len(published) + 1))
    assert len(published) >= 3

    acted = act_until(replay, store, config, run, lambda version: version > 0)
    assert acted == [published[-1]]
    newest = replay.episodes_after(RUN, {})[-1]
    stored = replay.timesteps(newest)
    assert set(stored.policy_version.tolist()) == {published[-1]}
    assert newest.start.exploration == {"kind": "gaussian", "sigma": 0.1}


def test_the_policy_that_acts_is_the_one_that_was_learned(replay: MemoryReplay, store: MemoryCheckpoints) -> None:
    config = small_config()
    run = open_run(replay, config)
    act_until(replay, store, config, run, lambda _: replay.counts(RUN).timesteps > 400)
    learner = build_learner(config, run)
    train_for(learner, replay, store, config, updates=20)
    contract = contract_of(run, config)
    policies = PublishedPolicies(
        store, RUN, contract, RandomPolicy(contract, np.random.default_rng(0)), lambda *a, **k: None
    )
    observation = learner.mirror.sample(1, np.random.default_rng(0)).observation[0]
    import torch

    with torch.no_grad():
        expected = learner.algorithm.actor(torch.from_numpy(learner.normaliser(observation)[None]))[0].numpy()
    np.testing.assert_allclose(policies.latest()(observation), expected, atol=1e-6)


def test_the_learner_sees_what_the_actor_saw(replay: MemoryReplay, store: MemoryCheckpoints) -> None:
    config = small_config()
    run = open_run(replay, config)
    environment = fake_environment(config.environment)
    policy = RandomPolicy(contract_of(run, config), np.random.default_rng(5))
    seen: list[np.ndarray[Any, Any]] = []
    writer = replay.writer(RUN, "w")

    class Watching:
        version = 0

        def __call__(self, observation: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            seen.append(observation)
            return policy(observation)

        def check(self, needed: Any, **_: Any) -> None:
            raise AssertionError("not asked here")

    play(environment, Watching(), writer, EpisodePlan(1, NoExploration()), "fake", lambda: False)
    mirror = build_learner(config, run).mirror
    mirror.follow(replay, RUN)
    batch = mirror.sample(500, np.random.default_rng(0))
    distinct = {row.tobytes() for row in batch.observation}
    assert distinct == {observation.tobytes() for observation in seen}


def test_resumed_learner_goes_on_bit_for_bit(replay: MemoryReplay, store: MemoryCheckpoints) -> None:
    config = small_config()
    run = open_run(replay, config)
    act_until(replay, store, config, run, lambda _: replay.counts(RUN).timesteps > 400)

    straight = build_learner(config, run)
    straight.mirror.follow(replay, RUN)
    for _ in range(20):
        straight.learn()
    saved = straight.state()
    for _ in range(20):
        straight.learn()

    resumed = build_learner(config, run)
    resumed.restore(saved, replay, RUN)
    assert resumed.updates == 20
    for _ in range(20):
        resumed.learn()
    ours, theirs = resumed.state(), straight.state()
    assert set(ours.tensors) == set(theirs.tensors)
    for name, array in theirs.tensors.items():
        np.testing.assert_array_equal(ours.tensors[name], array, err_msg=name)


def test_simulator_failure_ends_the_episode_as_truncated_and_the_actor_goes_on(replay: MemoryReplay) -> None:
    config = small_config()
    run = open_run(replay, config)
    environment = fake_environment(config.environment, fails_at=10)
    policy = RandomPolicy(contract_of(run, config), np.random.default_rng(0))
    episodes: list[Episode] = []
    for episode in act(
        environment, FixedPolicy(policy), replay.writer(RUN, "w"), lambda _: EpisodePlan(1, NoExploration()), "fake",
        lambda: len(episodes) == 2,
    ):  # fmt: skip
        episodes.append(episode)
    assert [episode.length for episode in episodes] == [9, 9]
    assert all(episode.truncated and not episode.terminated for episode in episodes)
    assert all(episode.ended.startswith("simulator_error") for episode in episodes)
    assert replay.timesteps(episodes[0]).truncated[-1]


def test_stopped_actor_marks_its_open_episode_aborted(replay: MemoryReplay) -> None:
    config = small_config()
    run = open_run(replay, config)
    policy = RandomPolicy(contract_of(run, config), np.random.default_rng(0))
    asked = itertools.count()
    writer = replay.writer(RUN, "w")
    environment = fake_environment(config.environment)
    episode = play(environment, policy, writer, EpisodePlan(1, NoExploration()), "fake", lambda: next(asked) >= 5)
    assert episode.ended == ABORTED
    assert episode.length == 5 * 4
    assert episode.truncated


def test_unexpected_failure_in_the_middle_leaves_no_open_episode(replay: MemoryReplay) -> None:
    config = small_config()
    open_run(replay, config)

    class Breaking:
        version = 0
        calls = 0

        def __call__(self, observation: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            self.calls += 1
            if self.calls > 3:
                raise FloatingPointError("diverged")
            return np.zeros(4, np.float32)

        def check(self, needed: Any, **_: Any) -> None:
            raise AssertionError("not asked here")

    environment = fake_environment(config.environment)
    with pytest.raises(FloatingPointError):
        play(environment, Breaking(), replay.writer(RUN, "w"), EpisodePlan(1, NoExploration()), "fake", lambda: False)
    (episode,) = replay.episodes_after(RUN, {})
    assert (episode.ended, episode.length) == (ABORTED, 12)


def test_simulator_that_cannot_reset_reaches_the_worker_as_a_simulation_error(replay: MemoryReplay) -> None:
    config = small_config()
    run = open_run(replay, config)

    class Broken(FakePhysics):
        def reset(self) -> np.ndarray[Any, Any]:
            raise SimulationError("no equilibrium")

    environment = ProstheticsEnv(config.environment, Broken())
    policy = RandomPolicy(contract_of(run, config), np.random.default_rng(0))
    with pytest.raises(SimulationError, match="no equilibrium"):
        play(environment, policy, replay.writer(RUN, "w"), EpisodePlan(1, NoExploration()), "fake", lambda: False)
    assert replay.counts(RUN).episodes == 0
