"""The learner process on a real mongod and a real S3 server: it publishes, stops, goes on, and survives damage."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import numpy as np
import pytest
from pymongo import MongoClient

from agents.checkpoints.contract import CheckpointCorrupt, Version
from agents.checkpoints.memory import MemoryCheckpoints
from agents.checkpoints.s3 import S3Checkpoints
from agents.config import RunConfig
from agents.evaluator import EVALUATED, EVALUATING
from agents.learner import Learner, Pace, train
from agents.lease import LeaseLost, RunIsTaken
from agents.new_run import NewRun
from agents.replay.contract import News, Replay
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Run
from agents.telemetry import read_statuses
from agents.training import best_versions, kept_versions, resume, train_run
from tests.runs import RUN, explore, fresh_learner, open_run, quiet_telemetry, small_config

real_servers = [pytest.mark.mongo, pytest.mark.s3]


@dataclass
class Stage:
    """A run with some random episodes, in real servers."""

    config: RunConfig
    run: Run
    replay: MongoReplay
    store: S3Checkpoints
    bucket: str
    folder: Path

    def train(self, stop: Callable[[], bool], config: RunConfig | None = None) -> int:
        """Trains in this thread as a fresh process would; returns the updates reached."""
        telemetry = quiet_telemetry(self.folder, "learner")
        learner = train_run(self.run, config or self.config, self.replay, self.store, telemetry, stop)
        telemetry.close()
        return learner.updates

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event["details"] for event in self.replay.events(RUN, kind)]

    def damage(self, number: int, part: str = "learner") -> None:
        """Flips one bit of an object in the bucket."""
        client = boto3.session.Session().client("s3")
        key = f"runs/{RUN}/versions/{number:08d}/{part}.safetensors"
        data = bytearray(client.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        data[len(data) // 2] ^= 1
        client.put_object(Bucket=self.bucket, Key=key, Body=bytes(data))
        client.close()


def after(store: Any, versions: int, seconds: float = 120.0) -> Callable[[], bool]:
    """Says stop once the run has so many versions."""
    ends = time.monotonic() + seconds

    def stop() -> bool:
        assert time.monotonic() < ends, "too few versions were published"
        latest = store.latest(RUN)
        return latest is not None and latest.number >= versions

    return stop


@pytest.fixture
def stage(mongodb_uri: str, database_name: str, s3_bucket: str, tmp_path: Path) -> Iterator[Stage]:
    config = small_config()
    replay, store = MongoReplay(mongodb_uri, database_name), S3Checkpoints(s3_bucket)
    run = open_run(replay, config)
    explore(replay, config, run, 400)
    yield Stage(config, run, replay, store, s3_bucket, tmp_path)
    store.close()
    replay.close()


class TestOnRealServers:
    pytestmark = real_servers

    def test_a_learner_holds_the_run_while_it_trains_and_publishes(
        self, stage: Stage, mongodb_uri: str, database_name: str
    ) -> None:
        holders: list[str | None] = []
        enough = after(stage.store, 3)

        def stop() -> bool:
            holders.append(stage.replay.lease_holder(RUN))
            return enough()

        updates = stage.train(stop)
        assert set(holders) != {None}
        assert len(set(holders)) == 1
        assert stage.replay.lease_holder(RUN) is None, "the next learner need not wait"
        versions = stage.store.versions(RUN)
        assert [version.number for version in versions] == list(range(1, len(versions) + 1))
        assert versions[-1].metadata["updates"] == updates > 0
        assert versions[-1].metadata["timesteps"] == sum(e.length for e in stage.replay.episodes_after(RUN, {}))
        published = stage.events("published")
        assert [details["version"] for details in published] == [version.number for version in versions]
        assert stage.events("learner_started") == [{"updates": 0}]
        assert stage.events("learner_stopped") == [{"updates": updates}]
        with MongoClient[dict[str, Any]](mongodb_uri) as client:
            counted = client[database_name].events.count_documents({"run": RUN, "kind": "published"})
        assert counted == len(versions)
        status = read_statuses(stage.folder)["learner"]
        assert (status["updates"], status["version"]) == (updates, versions[-1].number)

    def test_a_stopped_learner_goes_on_where_it_stopped(self, stage: Stage) -> None:
        first = stage.train(after(stage.store, 2))
        newest = stage.store.versions(RUN)[-1].number
        second = stage.train(after(stage.store, newest + 2))
        assert second > first
        assert stage.events("resumed") == [{"version": newest, "updates": first}]
        assert len(stage.events("learner_started")) == 1
        updates = [version.metadata["updates"] for version in stage.store.versions(RUN)]
        assert updates == sorted(updates)

    def test_what_is_resumed_is_what_was_published(self, stage: Stage) -> None:
        stage.train(after(stage.store, 2))
        _, published = stage.store.load(RUN, "learner")
        learner = fresh_learner(stage.config, stage.run, seed=99)
        resume(learner, stage.replay, stage.store, RUN, quiet_telemetry(stage.folder))
        state = learner.state()
        assert set(state.tensors) == set(published.tensors)
        for name, array in published.tensors.items():
            np.testing.assert_array_equal(state.tensors[name], array, err_msg=name)
        assert state.metadata["sampling"] == published.metadata["sampling"]

    def test_a_damaged_checkpoint_is_left_for_the_one_before(self, stage: Stage) -> None:
        stage.train(after(stage.store, 3))
        versions = stage.store.versions(RUN)
        newest, before = versions[-1].number, versions[-2]
        stage.damage(newest)
        stage.train(after(stage.store, newest + 1))
        (noted,) = stage.events("checkpoint_not_used")
        assert noted["version"] == newest
        assert "is corrupt" in noted["reason"]
        assert stage.events("resumed") == [{"version": before.number, "updates": before.metadata["updates"]}]

    def test_a_learner_refuses_to_start_anew_over_checkpoints_that_are_all_damaged(self, stage: Stage) -> None:
        stage.train(after(stage.store, 2))
        versions = [version.number for version in stage.store.versions(RUN)]
        for number in versions:
            stage.damage(number)
        with pytest.raises(CheckpointCorrupt, match="no checkpoint of run 'small' is whole"):
            stage.train(lambda: False)
        assert [version.number for version in stage.store.versions(RUN)] == versions
        assert len(stage.events("checkpoint_not_used")) == len(versions)
        assert stage.replay.lease_holder(RUN) is None

    def test_a_run_that_is_trained_elsewhere_is_left_alone(self, stage: Stage) -> None:
        assert stage.replay.acquire_lease(RUN, "elsewhere:1", seconds=600)
        config = small_config(lease_seconds=5.0)
        with pytest.raises(RunIsTaken, match="elsewhere:1"):
            stage.train(lambda: False, config)
        assert stage.store.latest(RUN) is None
        assert stage.replay.lease_holder(RUN) == "elsewhere:1"

    def test_a_learner_whose_run_is_taken_over_stops_without_publishing(self, stage: Stage) -> None:
        config = small_config(lease_seconds=5.0, publish_updates=10_000_000)
        enough = threading.Event()

        def take_over() -> bool:
            if stage.store.latest(RUN) is not None and not enough.is_set():
                enough.set()
                holder = stage.replay.lease_holder(RUN)
                assert holder is not None
                # Its thread may renew the lease in between.
                while not stage.replay.acquire_lease(RUN, "elsewhere:1", seconds=600):
                    stage.replay.release_lease(RUN, holder)
            return False

        with pytest.raises(LeaseLost, match="elsewhere:1"):
            stage.train(take_over, config)
        assert [version.number for version in stage.store.versions(RUN)] == [1]
        assert stage.replay.lease_holder(RUN) == "elsewhere:1"


class Followed(MemoryReplay):
    """Knows when its reader has everything: it then waits for news."""

    is_read = False

    def news(self, run: str) -> News:
        news, log = super().news(run), self

        class Awaited(News):
            def wait(self, seconds: float) -> None:
                log.is_read = True
                news.wait(seconds)

            def close(self) -> None:
                news.close()

        return Awaited()


@pytest.fixture
def replay() -> Followed:
    return Followed()


def test_a_failed_upload_ends_the_learner_and_frees_the_run(replay: MemoryReplay, tmp_path: Path) -> None:
    class Broken(MemoryCheckpoints):
        def retain(self, run: str, *, last: int, keep: Any = ()) -> list[int]:
            raise RuntimeError("retention failed")

    config = small_config()
    run = open_run(replay, config)
    explore(replay, config, run, 400)
    with pytest.raises(RuntimeError, match="retention failed"):
        train_run(run, config, replay, Broken(), quiet_telemetry(tmp_path), lambda: False)
    assert replay.lease_holder(RUN) is None
    assert not [thread for thread in threading.enumerate() if thread.name in ("lease", "feeder")]


def test_a_learner_that_has_learned_nothing_publishes_nothing(replay: Followed, tmp_path: Path) -> None:
    config, store = small_config(), MemoryCheckpoints()
    run = open_run(replay, config)
    explore(replay, config, run, 100)
    turns = itertools.count()
    stop = lambda: replay.is_read and next(turns) == 3  # noqa: E731
    learner = train_run(run, config, replay, store, quiet_telemetry(tmp_path), stop)
    assert learner.updates == 0
    assert store.latest(RUN) is None
    assert read_statuses(tmp_path)["test"]["waited_s"] > 0.2


def test_the_last_weights_are_published_when_the_learner_is_stopped(replay: MemoryReplay, tmp_path: Path) -> None:
    config, store = small_config(publish_updates=1_000_000), MemoryCheckpoints()
    run = open_run(replay, config)
    explore(replay, config, run, 400)
    turns = itertools.count()
    stop = lambda: store.latest(RUN) is not None and next(turns) == 5  # noqa: E731
    learner = train_run(run, config, replay, store, quiet_telemetry(tmp_path), stop)
    versions: list[Version] = list(store.versions(RUN))
    assert [version.number for version in versions] == [1, 2]
    assert versions[-1].metadata["updates"] == learner.updates > versions[0].metadata["updates"]


def test_threads_take_turns_at_python_quickly_while_a_run_is_trained(replay: MemoryReplay, tmp_path: Path) -> None:
    config = small_config()
    run = open_run(replay, config)
    before_s, seen_s = sys.getswitchinterval(), []

    def stop() -> bool:
        seen_s.append(sys.getswitchinterval())
        return True

    train_run(run, config, replay, MemoryCheckpoints(), quiet_telemetry(tmp_path), stop)
    assert seen_s == [pytest.approx(0.0005)]
    assert sys.getswitchinterval() == before_s


def test_samples_per_timestep_hold_the_learner_back(
    replay: Followed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, held_back = 0, 0
    learn, wait = Learner.learn, Pace.wait

    def counted_learn(learner: Learner) -> None:
        nonlocal batches
        batches += 1
        learn(learner)

    def counted_wait(pace: Pace, seconds: float) -> None:
        nonlocal held_back
        held_back += replay.is_read
        wait(pace, seconds)

    monkeypatch.setattr(Learner, "learn", counted_learn)
    monkeypatch.setattr(Pace, "wait", counted_wait)
    plain = small_config().plain()
    plain["replay"]["samples_per_timestep"] = 2.0
    config, store = RunConfig.of(plain), MemoryCheckpoints()
    run = open_run(replay, config)
    steps = sum(episode.length for episode in explore(replay, config, run, 400))
    allowed = 2 * steps // 32
    stop = lambda: held_back == 3 or batches > allowed  # noqa: E731
    learner = train_run(run, config, replay, store, quiet_telemetry(tmp_path), stop)
    assert learner.updates == allowed


def test_a_learner_learns_from_stored_timesteps_alone_before_its_run_has_any(
    replay: MemoryReplay, tmp_path: Path
) -> None:
    stored, store = small_config(), MemoryCheckpoints()
    explore(replay, stored, open_run(replay, stored, "old"), 200)
    config = NewRun(learn_from="old").configuration(RUN, replay)
    run = open_run(replay, config)
    learner = train_run(run, config, replay, store, quiet_telemetry(tmp_path), after(store, 1))
    assert learner.updates > 0, "with fewer timesteps than the stored run had to explore first"
    assert replay.episodes_after(RUN, {}) == []


def test_a_learner_waits_until_its_memory_holds_something_of_a_log_that_is_longer(
    replay: MemoryReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config()
    learner = fresh_learner(config, open_run(replay, config))
    # Of a log longer than the memory, the oldest steps are counted and passed before the first one enters.
    memory: Any = SimpleNamespace(transitions=0, taken_steps=10_000, timesteps=0)
    learned: list[int] = []
    monkeypatch.setattr(learner, "mirror", memory)

    def learn() -> dict[str, float]:
        learned.append(memory.transitions)
        return {}

    monkeypatch.setattr(learner, "learn", learn)
    blocked = {"blocked_ms": 0.0, "longest_blocked_ms": 0.0}
    still: Any = SimpleNamespace(check=lambda: None, valid=lambda: True, wait=lambda: None, stored_updates=0, **blocked)
    turns = itertools.count()

    def stop() -> bool:
        turn = next(turns)
        memory.transitions = 7 if turn >= 3 else 0
        return turn == 5

    train(learner, still, still, still, lambda facts, metrics: None, stop)
    assert learned == [7, 7]


def evaluated(
    replay: Replay, version: int, mean: float, *, physics: str = "fast", seeds: tuple[int, ...] = (1,)
) -> None:
    replay.event(RUN, "e", EVALUATED, version=version, mean=mean, physics=physics, seeds=list(seeds))


def test_the_best_version_is_the_best_among_scores_that_can_be_compared(replay: MemoryReplay) -> None:
    config = small_config()
    open_run(replay, config)
    assert best_versions(replay, RUN) == []
    evaluated(replay, 1, 100.0)
    evaluated(replay, 2, 300.0)
    evaluated(replay, 3, 200.0)
    assert best_versions(replay, RUN) == [2]
    evaluated(replay, 4, 9_000.0, physics="official")
    evaluated(replay, 5, 8_000.0, seeds=(7, 8))
    assert best_versions(replay, RUN) == [2, 4, 5]


def test_the_version_that_is_kept_is_the_one_that_the_reference_confirmed(replay: MemoryReplay) -> None:
    open_run(replay, small_config())
    for version, mean, confirmed in ((1, 100.0, 90.0), (2, 900.0, 10.0), (3, 95.0, None)):
        reference = None if confirmed is None else {"mean": confirmed}
        facts = {"version": version, "mean": mean, "physics": "native", "seeds": [1], "reference": "opensim"}
        replay.event(RUN, "e", EVALUATED, confirmation=reference, **facts)
    assert best_versions(replay, RUN) == [1]
    replay.event(
        RUN, "e", EVALUATED, version=4, mean=5.0, physics="native", seeds=[2], reference="x", confirmation=None
    )
    assert best_versions(replay, RUN) == [1], "nobody confirmed the other"


def test_a_version_that_is_being_scored_is_kept_beside_the_best(replay: MemoryReplay) -> None:
    open_run(replay, small_config())
    evaluated(replay, 1, 300.0)
    evaluated(replay, 2, 200.0)
    for version in (1, 2, 9, 15):
        replay.event(RUN, "evaluator", EVALUATING, version=version)
    assert kept_versions(replay, RUN) == [1, 9, 15]
