"""What a killed worker had handed over: sent by its next life once, whole records only, and never to a wrong place."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agents.replay.codec import TimestepCodec
from agents.replay.contract import RefusedTimestep
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import ABORTED
from agents.replay.spool_file import HEAD_BYTES, Kind, SpoolFile
from agents.replay.writer import LogWriter
from infra.services.mongod import Mongod
from infra.services.ports import pick_free_port
from infra.services.process import ServiceProcess, start
from tests.agents.spools import START, begin_and_add, files, killed
from tests.contracts.replay_samples import (
    ACTION_SIZE,
    STATE_SIZE,
    later_step,
    sample_episode,
    sample_run,
    write_episode,
)

LONG_S = 60.0
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.mongo)])
def log(request: pytest.FixtureRequest) -> Iterator[MemoryReplay | MongoReplay]:
    if request.param == "memory":
        store: MemoryReplay | MongoReplay = MemoryReplay()
    else:
        store = MongoReplay(request.getfixturevalue("mongodb_uri"), request.getfixturevalue("database_name"))
    store.open_run(sample_run())
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def finish_one_and_open_another(writer: LogWriter) -> None:
    write_episode(writer, sample_episode(1, 25))
    begin_and_add(writer, sample_episode(2, 100)[:38])
    with pytest.raises(RefusedTimestep):
        writer.add(later_step(np.random.default_rng(0), 1))


def test_the_next_life_sends_everything_before_it_closes_the_open_episode(log: MemoryReplay, folder: Path) -> None:
    killed(log, folder, finish_one_and_open_another)
    writer = log.writer("run", "w", spool=folder)
    finished, aborted = log.episodes_after("run", {})
    assert (finished.length, finished.ended) == (25, "fall")
    assert (aborted.length, aborted.ended, aborted.start) == (37, ABORTED, START)
    np.testing.assert_array_equal(log.timesteps(finished).state, [s.state for s in sample_episode(1, 25)])
    np.testing.assert_array_equal(log.timesteps(aborted).state, [s.state for s in sample_episode(2, 100)[:38]])
    assert [document["reason"] for document in log.quarantine("run")] == ["out_of_order"]
    (event,) = log.events("run", "spool_sent")
    assert event["details"]["count"] == 26 + 38 + 1 + 2 + 1, "timesteps, an episode, how two began, a refused timestep"
    assert writer.writer > aborted.writer
    writer.close(LONG_S)
    assert files(folder) == files(folder, "refused") == []


def test_what_was_sent_before_is_not_sent_twice(log: MemoryReplay, folder: Path, tmp_path: Path) -> None:
    def work(writer: LogWriter) -> None:
        write_episode(writer, sample_episode(1, 25))
        writer.note("worker_stopped")

    killed(log, folder, work)
    again = shutil.copytree(folder, tmp_path / "again")
    for image in (folder, again):
        log.writer("run", "w", spool=image).close(LONG_S)
        assert files(image, "refused") == []
    assert log.counts("run").timesteps == 26
    assert log.counts("run").episodes == 1
    assert len(log.events("run", "worker_stopped")) == 1


def test_a_record_that_is_cut_off_is_left_out_and_never_half_read(tmp_path: Path) -> None:
    whole = SpoolFile(tmp_path / "whole", create=True)
    ends = [0]
    for number in range(4):
        whole.append(Kind.EVENT, bytes(range(number * 30)))
        ends.append(whole.end)
    data = whole.path.read_bytes()
    for cut in range(len(data) + 1):
        (tmp_path / "torn").write_bytes(data[:cut])
        torn = SpoolFile(tmp_path / "torn")
        found = [record.end for record in torn.records(0, torn.end)]
        assert found == [end for end in ends[1:] if end <= cut]
        assert torn.is_cut_off(found[-1] if found else 0)
        torn.close()
    whole.close()


def test_a_record_that_does_not_fit_the_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwritev = os.pwritev
    file = SpoolFile(tmp_path / "file", create=True)
    file.append(Kind.EVENT, b"some payload")
    with monkeypatch.context() as full:
        full.setattr("agents.replay.spool_file.os.pwritev", lambda fd, parts, offset: pwritev(fd, [parts[0]], offset))
        with pytest.raises(OSError, match=f"{HEAD_BYTES} of {HEAD_BYTES + 5} bytes .* disk is full"):
            file.append(Kind.EVENT, b"large")
    assert file.path.stat().st_size == file.end
    file.append(Kind.EVENT, b"")
    assert [record.payload.tobytes() for record in file.records(0, file.end)] == [b"some payload", b""]
    file.close()


def test_a_record_with_one_wrong_bit_is_not_read(tmp_path: Path) -> None:
    whole = SpoolFile(tmp_path / "whole", create=True)
    whole.append(Kind.EVENT, b"some payload")
    data = whole.path.read_bytes()
    whole.close()
    for bit in range(8 * len(data)):
        spoiled = bytearray(data)
        spoiled[bit // 8] ^= 1 << bit % 8
        (tmp_path / "spoiled").write_bytes(spoiled)
        file = SpoolFile(tmp_path / "spoiled")
        assert list(file.records(0, file.end)) == []
        file.close()


def test_a_torn_tail_costs_the_last_record_alone(log: MemoryReplay, folder: Path) -> None:
    killed(log, folder, lambda writer: begin_and_add(writer, sample_episode(2, 20)))
    (path,) = files(folder)
    os.truncate(path, path.stat().st_size - 1)
    log.writer("run", "w", spool=folder).close(LONG_S)
    (aborted,) = log.episodes_after("run", {})
    assert aborted.length == 19
    np.testing.assert_array_equal(log.timesteps(aborted).state, [s.state for s in sample_episode(2, 20)[:20]])
    assert files(folder) == files(folder, "refused") == []


def test_a_damaged_record_before_others_is_no_torn_tail_and_the_file_is_kept(log: MemoryReplay, folder: Path) -> None:
    killed(log, folder, lambda writer: begin_and_add(writer, sample_episode(2, 20)))
    (path,) = files(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    log.writer("run", "w", spool=folder).close(LONG_S)
    (aborted,) = log.episodes_after("run", {})
    assert 5 < aborted.length < 15
    (kept,) = files(folder, "refused")
    assert kept.read_bytes() == data


def test_nothing_behind_a_damaged_record_is_sent_and_the_files_are_kept(log: MemoryReplay, folder: Path) -> None:
    width = TimestepCodec("run", STATE_SIZE, ACTION_SIZE).width + HEAD_BYTES
    killed(log, folder, lambda writer: begin_and_add(writer, sample_episode(2, 60)), most_bytes=32 * 5 * width)
    paths = files(folder)
    assert len(paths) > 3
    data = bytearray(paths[1].read_bytes())
    data[-width - 5] ^= 1
    paths[1].write_bytes(data)
    log.writer("run", "w", spool=folder).close(LONG_S)
    (aborted,) = log.episodes_after("run", {})
    assert 5 < aborted.length < 25
    np.testing.assert_array_equal(
        log.timesteps(aborted).state, [s.state for s in sample_episode(2, 60)[: aborted.length + 1]]
    )
    assert log.events("run", "stray_timesteps_deleted") == [], "nothing behind the damage was sent"
    assert len(files(folder, "refused")) == len(paths) - 1
    assert len(log.events("run", "spool_set_aside")) == len(paths) - 1


def test_the_spool_of_another_database_is_not_sent_to_this_one(log: MemoryReplay, folder: Path) -> None:
    elsewhere = MemoryReplay()
    elsewhere.open_run(sample_run())
    killed(elsewhere, folder, finish_one_and_open_another)
    first = log.writer("run", "w")
    assert log.lives("run")[0].writer == first.writer
    log.writer("run", "w", spool=folder).close(LONG_S)
    assert log.counts("run").timesteps == log.counts("run").episodes == 0
    assert len(files(folder, "refused")) == 1


@pytest.mark.parametrize("is_over", [False, True], ids=["open", "finished"])
def test_an_episode_that_was_closed_meanwhile_is_left_as_it_is(log: MemoryReplay, folder: Path, is_over: bool) -> None:
    """The worker was started elsewhere, without its spool, before it came back to this machine."""
    steps = sample_episode(2, 30)

    def work(writer: LogWriter) -> None:
        begin_and_add(writer, steps)
        rows = writer._codec.blank(1)
        writer._codec.write(
            rows, 0, steps[0], episode=writer.writer << 20, policy_version=4, time=log.lives("run")[0].started
        )
        log.note_open(writer.writer, {"episode": writer.writer << 20, **_start()})
        log.insert_timesteps(rows, again=False)
        if is_over:
            writer.end(ended="fall", reward_terms={"all": sum(s.reward for s in steps)}, step_ms_mean=1.0)

    killed(log, folder, work)
    (closed,) = log.close_abandoned("run")
    log.writer("run", "w", spool=folder).close(LONG_S)
    assert log.episodes_after("run", {}) == [closed]
    assert closed.length == 0
    assert log.counts("run").timesteps == 1
    assert len(files(folder, "refused")) == 1
    (event,) = log.events("run", "spool_set_aside")
    assert "newer life" in event["details"]["reason"]


def _start() -> dict[str, object]:
    from agents.replay.documents import start_document

    return start_document(START)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tuple[ServiceProcess, str]]:
    service = Mongod(
        port=pick_free_port(), user="tester", password="word", folder=tmp_path / "data", key_file=tmp_path / "key",
        log=tmp_path / "log", cache_gb=0.25,
    )  # fmt: skip
    process = start(service)
    yield process, f"mongodb://tester:word@127.0.0.1:{service.port}/?authSource=admin&directConnection=true"
    process.stop()


WORKER = """
import os, sys
from pathlib import Path
from agents.replay.mongo import MongoReplay
from tests.agents.spools import begin_and_add
from tests.contracts.replay_samples import sample_episode, write_episode
log = MongoReplay(os.environ["URI"], "test")
writer = log.writer("run", "w", batch=10, spool=Path(os.environ["SPOOL"]))
write_episode(writer, sample_episode(1, 25))
writer.drain(60.0)
print("sent", flush=True)
sys.stdin.readline()
for seed in range(2, 30):
    write_episode(writer, sample_episode(seed, 50))
begin_and_add(writer, sample_episode(30, 100)[:77])
print("written", flush=True)
sys.stdin.readline()
"""


@pytest.mark.mongo
def test_a_worker_killed_while_the_database_is_down_loses_nothing(
    database: tuple[ServiceProcess, str], folder: Path
) -> None:
    process, uri = database
    log = MongoReplay(uri, "test")
    log.open_run(sample_run())
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER], cwd=ROOT, env=os.environ | {"URI": uri, "SPOOL": str(folder)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stdout.readline() == "sent\n"
    os.kill(process.pid, signal.SIGKILL)
    process.stop()
    worker.stdin.write("go on\n")
    worker.stdin.flush()
    assert worker.stdout.readline() == "written\n"
    worker.kill()
    worker.wait()
    worker.stdin.close()
    worker.stdout.close()
    again = start(process.service)
    try:
        log.writer("run", "w", spool=folder).close(LONG_S)
        episodes = log.episodes_after("run", {})
        assert [episode.length for episode in episodes] == [25, *[50] * 28, 76]
        assert [episode.ended for episode in episodes] == [*["fall"] * 29, ABORTED]
        for seed, columns in enumerate(log.timesteps_of(episodes), 1):
            steps = sample_episode(seed, {1: 25, 30: 100}.get(seed, 50))[: len(columns.reward)]
            np.testing.assert_array_equal(columns.state, [step.state for step in steps])
        assert log.counts("run").timesteps == 26 + 28 * 51 + 77
        assert files(folder) == files(folder, "refused") == []
    finally:
        log.close()
        again.stop()
