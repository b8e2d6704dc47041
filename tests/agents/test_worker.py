"""The rollout process: its seeds and plans, its way from random to trained, and a simulator that fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymongo import MongoClient

from agents.build import create_run
from agents.checkpoints.memory import MemoryCheckpoints
from agents.checkpoints.s3 import S3Checkpoints
from agents.config import RunConfig
from agents.replay.contract import Replay
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import EpisodeStart, Purpose, Run
from agents.round_returns import means_of
from agents.telemetry import read_statuses
from agents.worker import Collected, Rollouts
from environment.config import EnvironmentConfig
from environment.physics.contract import SimulationError
from environment.prosthetics import ProstheticsEnv
from tests.clock import Clock
from tests.contracts.replay_samples import sample_episode, sample_run, write_episode
from tests.fakes import FakePhysics
from tests.runs import RUN, fake_environment, fresh_learner, open_run, quiet_telemetry, small_config

ROOT = Path(__file__).resolve().parents[2]


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
