"""The rollout process: its seeds and plans, its way from random to trained, and a simulator that fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymongo import MongoClient

from agents.actor import EpisodePlan
from agents.build import contract_of, create_run
from agents.checkpoints.memory import MemoryCheckpoints
from agents.checkpoints.s3 import S3Checkpoints
from agents.config import RunConfig
from agents.exploration.pink import PinkNoise
from agents.networks import Actor
from agents.normalisation import Normaliser
from agents.plain import ConfigError
from agents.policy import Policy, PolicyContract
from agents.replay.contract import Replay
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import EpisodeStart, Purpose, Run
from agents.round_returns import means_of
from agents.telemetry import read_statuses
from agents.worker import Collected, Plans, Rollouts
from environment.config import EnvironmentConfig
from environment.physics.contract import SimulationError
from environment.prosthetics import ProstheticsEnv
from environment.seeds import drawn_seed
from tests.clock import Clock
from tests.contracts.replay_samples import sample_episode, sample_run, write_episode
from tests.fakes import FakePhysics
from tests.runs import RUN, fake_environment, fresh_learner, open_run, quiet_telemetry, small_config

ROOT = Path(__file__).resolve().parents[2]


class Acting:
    """A policy of some version."""

    def __init__(self, version: int) -> None:
        self.version = version

    def __call__(self, observation: Any) -> Any:
        raise AssertionError("not asked here")

    def check(self, needed: Any, **_: Any) -> None:
        raise AssertionError("not asked here")


class Life:
    """The only thing that plans need of a writer."""

    def __init__(self, writer: int) -> None:
        self.writer = writer


@pytest.fixture
def replay() -> MemoryReplay:
    return MemoryReplay()


@pytest.fixture
def config() -> RunConfig:
    return small_config()


@pytest.fixture
def run(replay: MemoryReplay, config: RunConfig) -> Run:
    return open_run(replay, config)


def plans(run: Run, config: RunConfig, writer: int, count: int, version: int = 1) -> list[EpisodePlan]:
    life: Any = Life(writer)
    make = Plans(run, config, life, 0, 2)
    return [make(Acting(version)) for _ in range(count)]


def noise(plan: EpisodePlan) -> tuple[Any, ...]:
    plan.exploration.reset(lambda observation: observation)
    return tuple(plan.exploration(np.zeros(4, np.float32)).tolist())


def test_only_what_is_learned_from_counts_as_collected() -> None:
    replay = MemoryReplay()
    replay.open_run(sample_run())
    collected = Collected(replay, "run")
    assert collected() == 0
    purposes: tuple[Purpose, ...] = ("explore", "evaluate", "train")
    for purpose in purposes:
        start = EpisodeStart(seed=1, policy_version=0, purpose=purpose)
        write_episode(replay.writer("run", purpose), sample_episode(1, 7), start)
    assert collected() == 14
    assert collected() == 14


def test_no_two_episodes_of_any_two_lives_share_a_seed(run: Run, config: RunConfig) -> None:
    seeds = [plan.seed for writer in (1, 2, 3) for plan in plans(run, config, writer, 50)]
    assert len(set(seeds)) == 150


def test_the_same_life_and_number_give_the_same_seed_and_noise(run: Run, config: RunConfig) -> None:
    first, again = plans(run, config, 7, 20), plans(run, config, 7, 20)
    assert [plan.seed for plan in first] == [plan.seed for plan in again]
    assert [noise(plan) for plan in first] == [noise(plan) for plan in again]
    other = plans(run, config, 8, 20)
    assert [noise(plan) for plan in first] != [noise(plan) for plan in other]


def test_another_run_has_other_seeds(run: Run, replay: MemoryReplay, config: RunConfig) -> None:
    other = open_run(replay, config, "other")
    assert plans(run, config, 1, 1)[0].seed != plans(other, config, 1, 1)[0].seed


def test_a_share_of_the_episodes_follows_the_mean_and_nothing_else_changes(run: Run) -> None:
    without, half = small_config(), _with_means(0.5)
    life: Any = Life(7)
    contract = contract_of(run, without)
    mean, lone = (_policy(contract) for _ in range(2))
    exploring = _policy(contract, mean)
    plain, mixed, meanless = Plans(run, without, life, 0, 1), Plans(run, half, life, 0, 1), Plans(run, half, life, 0, 1)
    planned = [(plain(exploring), mixed(exploring), meanless(lone)) for _ in range(200)]

    assert all(one.mean is None and other.mean is None for one, _, other in planned)
    assert all(one.mean in (None, mean) for _, one, _ in planned)
    assert 70 < sum(one.mean is mean for _, one, _ in planned) < 130
    entropy = [zlib.crc32(run.name.encode()), 7]
    seeds = [drawn_seed(np.random.default_rng([*entropy, number])) for number in range(200)]
    assert all([one.seed for one in each] == seeds for each in zip(*planned, strict=True))
    assert [noise(one) for one, _, _ in planned] == [noise(one) for _, one, _ in planned]
    assert {one.described().get("policy") for _, one, _ in planned if one.mean is mean} == {"mean"}
    assert not any("policy" in one.described() for one, _, _ in planned)


def test_to_follow_a_mean_that_the_run_does_not_keep_is_refused() -> None:
    with pytest.raises(ConfigError, match="the run keeps none"):
        RunConfig.of({"exploration": {"mean_share": 0.5}})


def _with_means(share: float) -> RunConfig:
    plain = small_config().plain()
    plain["algorithm"]["settings"] |= {"mean_updates": 100}
    return RunConfig.of(plain | {"exploration": {"mean_share": share}})


def _policy(contract: PolicyContract, mean: Policy | None = None) -> Policy:
    actor = Actor(contract.observation_size, contract.action_size, (4,))
    return Policy(actor, Normaliser.identity(contract.observation_size), contract, version=1, mean=mean)


def test_random_actions_before_the_first_version_and_the_ladder_after(run: Run, config: RunConfig) -> None:
    for plan in plans(run, config, 1, 5, version=0):
        assert (plan.purpose, plan.exploration.describe()) == ("explore", {"kind": "uniform"})
    trained = plans(run, config, 1, 60, version=1)
    assert {plan.purpose for plan in trained} == {"train"}
    described = [plan.exploration.describe() for plan in trained]
    assert {description["kind"] for description in described} == {"none", "ornstein_uhlenbeck"}
    sigmas = [description["sigma"] for description in described if "sigma" in description]
    assert min(sigmas) < 0.07
    assert max(sigmas) > 0.3
    assert len(sigmas) == pytest.approx(60 * 0.8, abs=2)


@pytest.mark.parametrize(("skip", "dt_s"), [(4, 0.04), ([1, 5], 0.03)])
def test_noise_is_correlated_over_the_time_between_decisions(replay: MemoryReplay, skip: Any, dt_s: float) -> None:
    plain = small_config().plain()
    plain["environment"]["frame_skip"] = skip
    config = RunConfig.of(plain)
    noisy = [plan.exploration.describe() for plan in plans(open_run(replay, config), config, 1, 10)]
    found = [described["dt_s"] for described in noisy if "dt_s" in described]
    assert len(found) > 5
    np.testing.assert_allclose(found, dt_s)


def test_pink_noise_is_drawn_for_the_episode_s_decisions(replay: MemoryReplay) -> None:
    plain = small_config().plain()
    plain["environment"] |= {"frame_skip": [1, 5], "max_steps": 100}
    plain["exploration"] |= {"kind": "pink", "noise_free_share": 0.0}
    config = RunConfig.of(plain)
    (plan,) = plans(open_run(replay, config), config, 1, 1)
    assert isinstance(plan.exploration, PinkNoise)
    assert plan.exploration.decisions == 34


def rollouts(
    run: Run,
    config: RunConfig,
    replay: Replay,
    store: MemoryCheckpoints | None,
    folder: Path,
    build: Callable[[EnvironmentConfig, Run], ProstheticsEnv] = fake_environment,
) -> Rollouts:
    return Rollouts(run, config, replay, store, quiet_telemetry(folder, "w"), build)


def test_a_worker_explores_until_there_is_a_policy_and_then_acts_with_it(
    run: Run, config: RunConfig, replay: MemoryReplay, tmp_path: Path
) -> None:
    store = MemoryCheckpoints()
    learner = fresh_learner(config, run)
    work = rollouts(run, config, replay, store, tmp_path)

    def enough() -> bool:
        if work.episodes == 2 and store.latest(RUN) is None:
            store.publish(RUN, learner.policy(), learner.state(), {})
        return work.episodes >= 5

    work.work(0, 1, lambda: False, enough)
    episodes = replay.episodes_after(RUN, {})
    assert [episode.start.policy_version for episode in episodes] == [0, 0, 1, 1, 1]
    assert [episode.start.purpose for episode in episodes] == ["explore", "explore", "train", "train", "train"]
    assert len({episode.start.seed for episode in episodes}) == 5
    assert {episode.start.physics for episode in episodes} == {"fake/point"}
    assert [event["details"]["version"] for event in replay.events(RUN, "policy_refreshed")] == [1]
    status = read_statuses(tmp_path)["w"]
    assert (status["episodes"], status["policy_version"]) == (5, 1)
    assert status["timesteps"] == sum(episode.length for episode in episodes)
    assert status["last_return"] == episodes[-1].episode_return
    assert status["last_round_returns"] == episodes[-1].round_returns
    recent = means_of(episodes)
    assert recent is not None
    assert status["recent"] == recent.document()
    (stopped,) = replay.events(RUN, "worker_stopped")
    assert stopped["details"] == {"episodes": 5, "timesteps": status["timesteps"]}


def test_a_worker_without_a_store_stays_random(
    run: Run, config: RunConfig, replay: MemoryReplay, tmp_path: Path
) -> None:
    work = rollouts(run, config, replay, None, tmp_path)
    work.work(0, 1, lambda: False, lambda: work.episodes >= 3)
    episodes = replay.episodes_after(RUN, {})
    assert [episode.start.purpose for episode in episodes] == ["explore"] * 3


class Sick(FakePhysics):
    """A body that can not be reset any more after `healthy` times."""

    def __init__(self, healthy: int) -> None:
        super().__init__()
        self.healthy = healthy
        self.closed = False

    def reset(self) -> Any:
        if self.resets == self.healthy:
            raise SimulationError("no equilibrium")
        return super().reset()

    def close(self) -> None:
        self.closed = True


def test_a_simulator_that_can_not_be_reset_is_rebuilt_and_that_is_noted(
    run: Run, config: RunConfig, replay: MemoryReplay, tmp_path: Path
) -> None:
    built: list[Sick] = []

    def build(settings: EnvironmentConfig, run: Run) -> ProstheticsEnv:
        built.append(Sick(2))
        return ProstheticsEnv(settings, built[-1])

    work = rollouts(run, config, replay, None, tmp_path, build)
    work.work(0, 1, lambda: False, lambda: work.episodes >= 3)
    assert [body.resets for body in built] == [2, 1]
    assert all(body.closed for body in built)
    (noted,) = replay.events(RUN, "simulator_rebuilt")
    assert noted["details"] == {"reason": "no equilibrium"}
    assert replay.counts(RUN).episodes == 3
    assert replay.counts(RUN).aborted == 0


def test_pauses_between_rebuilds_grow_and_end_when_the_worker_is_stopped(
    run: Run, config: RunConfig, replay: MemoryReplay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("agents.worker.time", clock)
    started_s = clock.monotonic()
    times_s: list[float] = []

    def build(settings: EnvironmentConfig, run: Run) -> ProstheticsEnv:
        times_s.append(clock.monotonic() - started_s)
        return ProstheticsEnv(settings, Sick(0))

    work = rollouts(run, config, replay, None, tmp_path, build)
    work.work(0, 1, lambda: clock.monotonic() - started_s > 3.5)
    assert times_s == pytest.approx([0.0, 1.0, 3.0], abs=0.11)
    ended_s = clock.monotonic() - started_s
    assert ended_s == pytest.approx(3.5, abs=0.11), "the third pause, of 4 s, was not slept to its end"


def test_a_worker_that_is_too_far_ahead_waits_until_the_learner_has_published(
    replay: MemoryReplay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = small_config().plain()
    plain["replay"] |= {"explore_timesteps": 60, "samples_per_timestep": 1.0, "lead_timesteps": 100}
    config = RunConfig.of(plain)
    run, store = open_run(replay, config), MemoryCheckpoints()
    policy = fresh_learner(config, run).policy()
    waits: list[int] = []

    def sleep(seconds: float, stop: Callable[[], bool]) -> None:
        waits.append(work.episodes)
        if len(waits) == 2:
            store.publish(RUN, policy, policy, {"updates": 100})

    monkeypatch.setattr("agents.worker._sleep", sleep)
    work = rollouts(run, config, replay, store, tmp_path, fake_environment)
    work.work(0, 1, lambda: False, lambda: work.episodes >= 6)
    lengths = [episode.length for episode in replay.episodes_after(RUN, {})]
    ahead = int(np.argmax(np.cumsum(lengths) > 100)) + 1
    assert waits == [ahead, ahead], "the second publication was enough for all the rest"
    (status,) = read_statuses(tmp_path).values()
    assert status["waited_for_learner_s"] > 0.0


def test_a_long_episode_does_not_make_a_worker_look_dead(
    run: Run, config: RunConfig, replay: MemoryReplay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("agents.telemetry.time", clock)
    ages_s: list[float] = []

    class Slow(FakePhysics):
        def step(self, excitation: Any) -> Any:
            clock.sleep(10.0)
            ages_s.append(clock.time() - read_statuses(tmp_path)["w"]["updated"])
            return super().step(excitation)

    work = rollouts(run, config, replay, None, tmp_path, lambda settings, run: ProstheticsEnv(settings, Slow()))
    work.work(0, 1, lambda: False, lambda: work.episodes >= 1)
    assert len(ages_s) > 20
    assert max(ages_s) == 4 * 10.0, "before each action, of four steps, it says that it lives"


@pytest.fixture
def real_run(real_log: MongoReplay) -> MongoReplay:
    """A run on the native engine."""
    config = RunConfig.of({"environment": {"max_steps": 40}, "replay": {"explore_timesteps": 60, "write_batch": 10}})
    create_run(RUN, config, real_log)
    return real_log


def agents(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "agents", *arguments], cwd=ROOT, text=True, stderr=subprocess.PIPE, env=os.environ
    )


@pytest.mark.opensim
@pytest.mark.mongo
@pytest.mark.s3
def test_a_real_worker_process_writes_an_episode_of_the_native_engine(
    real_run: MongoReplay, mongodb_uri: str, database_name: str, s3_bucket: str, tmp_path: Path
) -> None:
    worker = agents("rollout", "--run", RUN, "--process", "worker-a", "--episodes", "1")
    _, errors = worker.communicate(timeout=120)
    assert worker.returncode == 0, errors
    (episode,) = real_run.episodes_after(RUN, {})
    assert (episode.worker, episode.start.policy_version, episode.start.purpose) == ("worker-a", 0, "explore")
    assert (episode.length, episode.ended) == (40, "time_limit")
    assert episode.start.physics == "native/BogackiShampine32/1e-05"
    columns = real_run.timesteps(episode)
    assert columns.state.shape == (41, len(real_run.run(RUN).state_names))
    assert columns.excitation[1:].std() > 0.2, "random muscles, not constant ones"
    assert (columns.excitation[1::4] == columns.excitation[4::4]).all(), "held for four steps"
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        assert client[database_name].timesteps.count_documents({"run": RUN}) in (0, 41)
        assert client[database_name].timesteps.count_documents({}) == 41
    assert read_statuses(tmp_path / "runs" / RUN)["worker-a"]["ended"]
    assert list((tmp_path / "runs" / RUN / "tensorboard" / "worker-a").glob("events.*"))
    store = S3Checkpoints(s3_bucket)
    assert store.latest(RUN) is None
    store.close()
    real_run.close()


@pytest.mark.opensim
@pytest.mark.mongo
@pytest.mark.s3
def test_sigterm_ends_a_worker_at_once_with_its_episode_aborted(real_run: MongoReplay, tmp_path: Path) -> None:
    plain: dict[str, Any] = {"environment": {"physics": "opensim", "integrator": "RungeKuttaMerson", "accuracy": 1e-7}}
    create_run("slow", RunConfig.of(plain | {"replay": {"write_batch": 2}}), real_run)
    worker = agents("rollout", "--run", "slow", "--process", "worker-b")
    ends = time.monotonic() + 120
    while real_run.counts("slow").timesteps < 4:
        assert time.monotonic() < ends, "the worker never wrote"
        time.sleep(0.05)
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=120)
    assert worker.returncode == 0, errors
    episode = real_run.episodes_after("slow", {})[-1]
    assert (episode.ended, episode.truncated, episode.terminated) == ("aborted", True, False)
    stored = real_run.timesteps(episode)
    assert len(stored.reward) == episode.length + 1
    assert stored.truncated[-1]
    assert [event["kind"] for event in real_run.events("slow")][-1] == "worker_stopped"
    real_run.close()


@pytest.mark.opensim
@pytest.mark.mongo
@pytest.mark.s3
def test_the_explorer_stops_when_the_run_has_enough(real_run: MongoReplay) -> None:
    explorer = agents("explore", "--run", RUN, "--process", "explorer")
    _, errors = explorer.communicate(timeout=120)
    assert explorer.returncode == 0, errors
    episodes = real_run.episodes_after(RUN, {})
    assert {episode.start.purpose for episode in episodes} == {"explore"}
    assert [episode.length for episode in episodes] == [40, 40], "60 timesteps need two"
    real_run.close()
