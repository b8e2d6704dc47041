"""A worker process with many bodies: who explores how much, what it says of itself, and its death by kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.build import create_run, describe_run
from agents.checkpoints.memory import MemoryCheckpoints
from agents.config import RunConfig
from agents.exploration.config import ExplorationConfig
from agents.exploration.ladder import Ladder
from agents.lives import spool_folder
from agents.replay.codec import TimestepCodec
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Run
from agents.replay.spool_file import Kind, SpoolFile
from agents.replay.spool_folder import leftovers_in
from agents.telemetry import read_statuses
from agents.worker import Collected, Rollouts
from environment.prosthetics import ProstheticsEnv
from tests.clock import Clock
from tests.contracts.replay_samples import sample_episode, sample_run, write_episode
from tests.runs import RUN, fresh_learner, quiet_telemetry

ROOT = Path(__file__).resolve().parents[2]
PLAIN: dict[str, Any] = {
    "environment": {"max_steps": 40},
    "rollout": {"bodies": 4},
    "exploration": {"noise_free_share": 0.0},
    "algorithm": {"settings": {"hidden": [16, 16]}},
}


@pytest.fixture(scope="module")
def described() -> Run:
    config = RunConfig.of(PLAIN)
    with closing(ProstheticsEnv(config.environment)) as environment:
        return describe_run(RUN, config, environment)


def worker(run: Run, replay: MemoryReplay, store: MemoryCheckpoints | None, folder: Path) -> Rollouts:
    return Rollouts(run, RunConfig.of(PLAIN), replay, store, quiet_telemetry(folder, "w"))


def test_bodies_are_workers_of_the_log_and_places_on_the_ladder(described: Run, tmp_path: Path) -> None:
    replay, store = MemoryReplay(), MemoryCheckpoints()
    run = replay.open_run(described)
    learner = fresh_learner(RunConfig.of(PLAIN), run)
    store.publish(RUN, learner.policy(), learner.state(), {})
    work = worker(run, replay, store, tmp_path)
    work.work(1, 3, lambda: False, lambda: work.episodes >= 12)
    episodes = replay.episodes_after(RUN, {})
    assert {episode.worker for episode in episodes} == {"w/0", "w/1", "w/2", "w/3"}
    assert len({episode.start.seed for episode in episodes}) == len(episodes)
    assert {episode.start.policy_version for episode in episodes} == {1}
    for episode in episodes:
        body, number = int(episode.worker[-1]), episode.id & 0xFFFFF
        exploration = ExplorationConfig(noise_free_share=0.0)
        place = Ladder(
            config=exploration, worker_index=4 + body, workers=12, dt_s=0.04, decisions=10, seed=episode.writer
        )
        assert episode.start.exploration == place.for_episode(number).describe()


def test_a_worker_tells_the_sum_of_what_its_bodies_do(described: Run, tmp_path: Path) -> None:
    replay = MemoryReplay()
    run = replay.open_run(described)
    work = worker(run, replay, None, tmp_path)
    work.work(0, 1, lambda: False, lambda: work.episodes >= 9)
    episodes = replay.episodes_after(RUN, {})
    assert {episode.start.purpose for episode in episodes} == {"explore"}
    (status,) = read_statuses(tmp_path).values()
    timesteps = sum(episode.length for episode in episodes)
    assert (status["bodies"], status["episodes"], status["timesteps"]) == (4, len(episodes), timesteps)
    assert status["timesteps_per_s"] > 0.0
    (stopped,) = replay.events(RUN, "worker_stopped")
    assert stopped["details"] == {"episodes": len(episodes), "timesteps": timesteps}
    assert 9 <= len(episodes) <= 9 + 4
    assert all(not leftovers_in(spool_folder(RUN, f"w/{body}")) for body in range(4))


def test_what_is_collected_is_counted_no_more_often_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, replay = Clock(), MemoryReplay()
    monkeypatch.setattr("agents.worker.time", clock)
    replay.open_run(sample_run())
    collected, writer = Collected(replay, "run", look_every_s=0.5), replay.writer("run", "w")
    assert collected() == 0
    write_episode(writer, sample_episode(1, 7))
    clock.sleep(0.4)
    assert collected() == 0
    clock.sleep(0.2)
    assert collected() == 7


def spooled(run: Run) -> set[int]:
    """Ids of all timesteps that lie whole in the spools of a dead worker."""
    codec = TimestepCodec(RUN, len(run.state_names), len(run.action_names))
    found: set[int] = set()
    for body in range(4):
        for path in leftovers_in(spool_folder(RUN, f"w/{body}")):
            file = SpoolFile(path)
            for record in file.records(0, file.end):
                if record.kind in (Kind.TIMESTEPS, Kind.TIMESTEPS_AGAIN):
                    found |= set(np.frombuffer(bytes(record.payload), codec.dtype)["_id"].tolist())
            file.close()
    return found


@pytest.mark.mongo
@pytest.mark.s3
def test_kill_9_loses_nothing_and_the_next_start_closes_every_body_s_open_episode(real_log: MongoReplay) -> None:
    replay = real_log
    run = create_run(RUN, RunConfig.of(PLAIN | {"environment": {}}), replay)

    def start(*more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "agents", "rollout", "--run", RUN, "--process", "w", *more]
        return subprocess.Popen(command, cwd=ROOT, text=True, stderr=subprocess.PIPE, env=os.environ)

    killed = start()
    ends_s = time.monotonic() + 120
    while replay.counts(RUN).timesteps < 2000:
        assert time.monotonic() < ends_s, "the worker never wrote"
        assert killed.poll() is None, killed.communicate()[1]
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    stored = {int(id) for w in range(1, 5) for id in ids_of(replay, w)}
    acknowledged = stored | spooled(run)
    before = replay.counts(RUN)

    again = start("--episodes", "1")
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    former = [episode for episode in replay.episodes_after(RUN, {}) if episode.writer <= 4]
    assert len(former) >= before.episodes
    kept = {id for episode in former for id in range(episode.id << 20, (episode.id << 20) + episode.length + 1)}
    assert kept == acknowledged, "every timestep that was stored or spooled belongs to an episode, and no other"
    assert kept == {int(id) for w in range(1, 5) for id in ids_of(replay, w)}
    by_writer = {w: [episode for episode in former if episode.writer == w] for w in range(1, 5)}
    assert {w: [e.ended == "aborted" for e in episodes[:-1]] for w, episodes in by_writer.items()} == {
        w: [False] * (len(episodes) - 1) for w, episodes in by_writer.items()
    }
    assert sum(episodes[-1].ended == "aborted" for episodes in by_writer.values()) >= 3
    for episode in former:
        assert replay.timesteps(episode).truncated[-1] == episode.truncated


def ids_of(replay: MongoReplay, writer: int) -> list[int]:
    rows = replay._codec(RUN).read(replay.read_timesteps(writer << 40, ((writer + 1) << 40) - 1))
    return [int(id) for id in rows["_id"]]
