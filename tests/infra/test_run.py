"""The main job as its users start it: real processes, real OpenSim, real servers."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from agents.checkpoints.s3 import S3Checkpoints
from agents.config import RunConfig
from agents.new_run import NewRun
from agents.plain import ConfigError
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.spool_places import spool_path
from agents.stopping import StopFlag
from infra.run import RunFailed, RunOptions, _send_leftovers, processes, run
from tests.agents.spools import killed
from tests.contracts.replay_samples import sample_episode, sample_run, write_episode
from tests.runs import RUN

ROOT = Path(__file__).resolve().parents[2]
HOST = socket.gethostname()
CONFIG = """
[environment]
physics = "opensim"
max_steps = 40
[replay]
explore_timesteps = 150
capacity_timesteps = 5000
write_batch = 20
[algorithm]
settings = { hidden = [32, 32] }
[learner]
batch_size = 32
publish_seconds = 3.0
[evaluation]
seeds = [11, 22]
"""
Status = dict[str, Any]


class Job:
    """One `python -m infra run`, and what its children say of themselves."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder = folder
        command = [sys.executable, "-m", "infra", "run", "--run", RUN, "--workers", "1", *arguments]
        self._said = (folder / "said.txt").open("w")
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=self._said, stderr=subprocess.STDOUT)

    def status(self, process: str) -> Status:
        try:
            found: Status = json.loads((self._folder / "runs" / RUN / "status" / f"{process}.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
        given_up_s = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < given_up_s, f"{what}: not within {seconds} s; {self.said()}"
            time.sleep(0.1)

    def ended(self, number: int | None = None) -> dict[str, Any]:
        """Sends the signal, waits for a clean end, and returns the saved summary."""
        if number is not None:
            self.process.send_signal(number)
        assert self.process.wait(120) == 0, self.said()
        summary: dict[str, Any] = json.loads((self._folder / "runs" / RUN / "summary.json").read_text())
        return summary

    def said(self) -> str:
        return (self._folder / "said.txt").read_text()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()  # its children are asked to stop by the kernel
            self.process.wait()
        self._said.close()


@pytest.fixture
def services(real_log: MongoReplay, tmp_path: Path) -> MongoReplay:
    """Real servers for child processes; none of them is the run's own to start or stop."""
    (tmp_path / "run.toml").write_text(CONFIG)
    return real_log


@pytest.mark.opensim
@pytest.mark.mongo
@pytest.mark.s3
def test_a_run_collects_learns_publishes_evaluates_recovers_and_goes_on(
    services: MongoReplay, mongodb_uri: str, database_name: str, s3_bucket: str, tmp_path: Path
) -> None:
    worker = f"worker-0.{HOST}"
    with closing(
        Job(tmp_path, "--config", str(tmp_path / "run.toml"), "--summary", str(tmp_path / "copy.json"))
    ) as job:
        job.until(lambda: job.status(worker).get("episodes", 0) >= 1, "the worker's first episode")
        killed = job.status(worker)["pid"]
        os.kill(killed, signal.SIGKILL)
        job.until(lambda: job.status(worker).get("pid", killed) != killed, "a new life of the worker")
        job.until(lambda: job.status(worker).get("policy_version", 0) >= 1, "an episode of a trained policy")
        job.until(lambda: "evaluated" in job.status(f"evaluator.{HOST}"), "a score")
        first = job.ended(signal.SIGINT)
        said = job.said()
    assert json.loads((tmp_path / "copy.json").read_text()) == first
    _assert_counts(first, mongodb_uri, database_name)
    with closing(S3Checkpoints(s3_bucket)) as store:
        assert first["versions_kept"] == [version.number for version in store.versions(RUN)]
        assert first["updates"] == store.versions(RUN)[-1].metadata["updates"] > 0
    assert first["versions_published"] >= 1
    assert first["resumed_from_version"] is None
    assert first["restarts"] == {worker: 1, f"explorer.{HOST}": 0, "learner": 0, f"evaluator.{HOST}": 0}
    assert all(50 < peak < 4000 for peak in first["peak_memory_mb"].values())
    assert set(first["evaluation"]["baselines"]) >= {"random", "standing", "blind_walking"}
    assert first["evaluation"]["newest"]["seeds"] == [11, 22]
    lives = {episode.writer for episode in services.episodes_after(RUN, {}) if episode.worker == worker}
    assert len(lives) == 2
    assert first["aborted"] >= 1, "the killed worker's open episode was closed by its next life"
    assert f"run {RUN} (prosthetics-round2" in said
    assert services.lease_holder(RUN) is None
    assert _no_child_of(tmp_path)

    with closing(Job(tmp_path, "--no-evaluator", "--report")) as job:
        wanted = first["updates"] + 20
        job.until(lambda: job.status("learner").get("updates", 0) > wanted, "more updates")
        job.until(lambda: job.status(worker).get("episodes", 0) >= 1, "more episodes")
        second = job.ended(signal.SIGTERM)
        assert "no report: the job was asked to end at once; `python -m infra report --run small`" in job.said()
    _assert_counts(second, mongodb_uri, database_name)
    assert second["resumed_from_version"] == first["latest_version"]
    assert second["updates"] > first["updates"]
    assert second["updates_here"] == second["updates"] - first["updates"]
    assert second["timesteps"] == first["timesteps"] + second["timesteps_here"] > first["timesteps"]
    (resumed,) = services.events(RUN, "resumed")
    assert resumed["details"] == {"version": first["latest_version"], "updates": first["updates"]}
    assert f"explorer.{HOST}" not in second["restarts"], "there was nothing left to explore"
    assert _no_child_of(tmp_path)

    told = [event["kind"] for event in services.events(RUN) if event["process"] == "run"]
    assert told == ["run_started", "processor_time", "run_stopped"] * 2
    here, there = (event["details"]["seconds"] for event in services.events(RUN, "processor_time"))
    assert set(here) == {"worker-0", "explorer", "learner", "evaluator", "run"}
    assert all(seconds > 0.5 for name, seconds in here.items() if name != "run"), "each has loaded its libraries"
    assert set(there) == {"worker-0", "learner", "run"}


@pytest.mark.slow
@pytest.mark.mongo
@pytest.mark.s3
def test_a_run_that_is_asked_to_ends_with_a_report_also_after_an_interrupt(
    services: MongoReplay, tmp_path: Path
) -> None:
    (tmp_path / "run.toml").write_text(CONFIG.replace('"opensim"', '"native"') + 'confirm_physics = "native"\n')
    with closing(Job(tmp_path, "--config", str(tmp_path / "run.toml"), "--report")) as job:
        job.until(lambda: "evaluated" in job.status(f"evaluator.{HOST}"), "a score")
        job.ended(signal.SIGINT)
        said = job.said()
    folder = tmp_path / "runs" / RUN / "report"
    best = max(event["details"]["mean"] for event in services.events(RUN, "evaluated"))
    assert json.loads((folder / "curves.json").read_text())["points"][-1]["best"] == best
    text = (folder / "report.md").read_text()
    assert "on 50 held-out seeds" in text
    assert "python -m infra run --run small --workers 1" in text
    assert (folder / "walk.mp4").is_file() or "There is no video: " in text
    assert f"report     {folder / 'report.md'}" in said


def _assert_counts(summary: dict[str, Any], uri: str, database: str) -> None:
    """Against counts that know nothing of this project's code."""
    with MongoClient[dict[str, Any]](uri) as client:
        data = client[database]
        counted = {name: data[name].count_documents({}) for name in ("runs", "episodes", "timesteps", "events")}
        lengths = [episode["length"] for episode in data.episodes.find({})]
        aborted = data.episodes.count_documents({"ended": "aborted"})
    assert summary["collections"] == counted
    assert summary["timesteps"] == counted["timesteps"] == sum(lengths) + len(lengths), "T + 1 of each episode, no more"
    assert summary["aborted"] == aborted


def _no_child_of(folder: Path) -> bool:
    pids = [json.loads(path.read_text())["pid"] for path in (folder / "runs" / RUN / "status").glob("*.json")]
    return bool(pids) and not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.mongo
@pytest.mark.s3
def test_what_dead_workers_left_on_this_machine_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryReplay()
    log.open_run(sample_run())
    killed(log, tmp_path / "image", lambda writer: write_episode(writer, sample_episode(1, 25)))
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    shutil.copytree(tmp_path / "image", spool_path(tmp_path, "run", "explorer"))
    assert log.episodes_after("run", {}) == []
    _send_leftovers("run", log, lambda: False)
    (episode,) = log.episodes_after("run", {})
    assert (episode.length, episode.ended) == (25, "fall")
    assert log.close_abandoned("run") == []


def test_a_run_that_runs_already_is_not_started_twice(services: MongoReplay, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / RUN
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunFailed, match="run 'small' is running on this machine already"):
            run(RunOptions(name=RUN), StopFlag())
    assert services.runs() == []


@pytest.mark.mongo
@pytest.mark.s3
@pytest.mark.usefixtures("services")
def test_a_run_that_can_not_be_made_says_why_in_one_sentence() -> None:
    with pytest.raises(RunFailed, match=r"^create: .*did you mean 'batch_size'"):
        run(RunOptions(name=RUN, new=NewRun(settings=["learner.batchsize=3"])), StopFlag())


@pytest.mark.parametrize("wrong", [{"minutes": 0.0}, {"workers": 0}, {"name": "a b"}])
def test_senseless_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, ConfigError)):
        RunOptions(**wrong)


def names(timesteps: int, **options: Any) -> list[str]:
    return [spec.name for spec in processes(RunOptions(**options), RunConfig(), timesteps)]


def test_a_run_has_workers_a_learner_an_evaluator_and_an_explorer_at_first() -> None:
    workers = [f"worker-{index}.{HOST}" for index in range(3)]
    assert names(0, workers=3) == [*workers, f"explorer.{HOST}", "learner", f"evaluator.{HOST}"]
    assert names(25_000, workers=3) == [*workers, "learner", f"evaluator.{HOST}"]
    assert names(25_000, workers=1, evaluator=False) == [workers[0], "learner"]
    assert len(names(25_000)) == max(1, (os.cpu_count() or 2) - 1) + 2


def test_a_run_that_learns_from_a_stored_one_explores_no_more() -> None:
    config = RunConfig.of({"replay": {"explore_timesteps": 0, "partitions": {"old": 0.5}}})
    found = [spec.name for spec in processes(RunOptions(workers=1), config, 0)]
    assert found == [f"worker-0.{HOST}", "learner", f"evaluator.{HOST}"]


def test_workers_know_their_place_on_the_ladder() -> None:
    specs = list(processes(RunOptions(workers=2), RunConfig(), 25_000))
    assert specs[1].arguments[-4:] == ("--worker", "1", "--workers", "2")
    assert specs[-1].nice == 10, "scoring takes what the others leave"
