"""A worker with a spool: order, outages, a full spool, a full disk, and a store that refuses."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.replay.contract import RefusedTimestep
from agents.replay.runs import ABORTED
from agents.replay.spool import Spool
from agents.replay.spool_file import SpoolFile
from agents.replay.spool_folder import SpoolFolder, refused_in
from agents.replay.writer import LogWriter
from tests.agents.spools import START, Away, begin_and_add, files
from tests.contracts.replay_samples import later_step, sample_episode, write_episode

LONG_S = 60.0


@pytest.fixture
def log() -> Iterator[Away]:
    store = Away()
    yield store
    store.back.set()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "w"


def the_spool(writer: LogWriter) -> Spool:
    sink = writer._sink
    assert isinstance(sink, Spool)
    return sink


def test_a_worker_goes_on_while_the_store_is_away_and_loses_nothing(log: Away, folder: Path) -> None:
    writer = log.writer("run", "w", spool=folder)
    log.back.clear()
    written = [(write_episode(writer, steps := sample_episode(seed, 40)), steps) for seed in range(5)]
    assert writer.waited_s == 0
    assert log.counts("run").timesteps == 0
    log.back.set()
    assert writer.close(LONG_S) == 0
    assert log.episodes_after("run", {}) == [episode for episode, _ in written]
    for episode, steps in written:
        np.testing.assert_array_equal(log.timesteps(episode).state, [step.state for step in steps])
    assert log.counts("run").timesteps == 5 * 41


def test_the_store_hears_everything_in_the_order_it_was_written(log: Away, folder: Path) -> None:
    writer = log.writer("run", "w", spool=folder)
    bad = later_step(np.random.default_rng(0), 7)
    for seed in range(3):
        begin_and_add(writer, sample_episode(seed, 9)[:5])
        with pytest.raises(RefusedTimestep):
            writer.add(bad)
        writer.abort()
    writer.note("worker_stopped")
    writer.close(LONG_S)
    calls = [name for name, _ in log.called]
    in_one_go = [name for name, before in zip(calls, [None, *calls], strict=False) if name != before]
    one = ["note_open", "insert_timesteps", "insert_refused", "mark_truncated", "insert_episode", "insert_event"]
    assert in_one_go == [*(3 * one)]
    assert [event["kind"] for event in log.events("run")] == ["worker_started", *["refused"] * 3, "worker_stopped"]


def test_an_episode_document_is_never_sent_before_all_its_timesteps(
    log: Away, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete: list[bool] = []
    insert = log.insert_episode

    def insert_and_look(document: dict[str, Any]) -> None:
        found = [id for id in log._ids if id >> 20 == document["_id"]]
        complete.append(len(found) == document["length"] + 1)
        insert(document)

    monkeypatch.setattr(log, "insert_episode", insert_and_look)
    writer = log.writer("run", "w", batch=3, spool=folder)
    for seed in range(20):
        write_episode(writer, sample_episode(seed, 10))
    writer.close(LONG_S)
    assert complete == [True] * 20


def test_single_timesteps_go_to_the_store_many_at_a_time(log: Away, folder: Path) -> None:
    writer = log.writer("run", "w", batch=150, spool=folder)
    log.back.clear()
    write_episode(writer, sample_episode(1, 2499))
    log.back.set()
    writer.close(LONG_S)
    assert sum(count for _, count in log.called) == 2500
    assert max(count for _, count in log.called) == 1000
    assert sum(name == "insert_timesteps" for name, _ in log.called) <= 4


def patient(log: Away, folder: Path, batch: int) -> LogWriter:
    """A writer whose timesteps are never too old to wait for others."""
    codec, life = log._codec("run"), log._begin_life("run", "w")
    spool = Spool(log, codec, SpoolFolder(folder), life, batch=batch, linger_s=1e9)
    return LogWriter(spool, codec, run="run", worker="w", writer=life.writer, batch=batch, write_every_s=0.0)


def test_timesteps_wait_for_others_until_they_are_a_batch(log: Away, folder: Path) -> None:
    writer = patient(log, folder, batch=5)
    changed = the_spool(writer)._changed
    with changed:
        begin_and_add(writer, sample_episode(1, 9)[:3])
    assert writer.drain(LONG_S) == 0
    log.called.clear()
    steps = sample_episode(1, 19)
    with changed:
        for step in steps[3:8]:
            writer.add(step)
    with changed:
        assert changed.wait_for(lambda: log.counts("run").timesteps == 8, LONG_S)
    assert log.called == [("insert_timesteps", 5)]


def test_the_end_of_an_episode_waits_for_nothing(log: Away, folder: Path) -> None:
    writer = patient(log, folder, batch=1000)
    episode = write_episode(writer, sample_episode(1, 9))
    changed = the_spool(writer)._changed
    with changed:
        assert changed.wait_for(lambda: log.episodes_after("run", {}) == [episode], LONG_S)


def test_what_lingers_is_sent_without_an_end(log: Away, folder: Path) -> None:
    writer = log.writer("run", "w", batch=150, spool=folder)
    begin_and_add(writer, sample_episode(1, 9)[:5])
    sent = the_spool(writer)._changed
    with sent:
        assert sent.wait_for(lambda: log.counts("run").timesteps == 5, LONG_S)


def test_a_healthy_run_keeps_the_folder_near_empty(log: Away, folder: Path) -> None:
    writer = log.writer("run", "w", spool=folder, spool_bytes=20_000)
    sizes = []
    for seed in range(10):
        write_episode(writer, sample_episode(seed, 10))
        assert writer.drain(LONG_S) == 0
        sizes.append(sum(path.stat().st_size for path in files(folder)))
    assert len(set(sizes)) == 1, "all that is left is a file's first record"
    assert sizes[0] < 200
    writer.close(LONG_S)
    assert files(folder) == []


def test_a_full_spool_makes_the_worker_wait_and_then_go_on(
    log: Away, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = log.writer("run", "w", spool=folder, spool_bytes=10_000)
    sizes: list[int] = []
    append, send_now = SpoolFile.append, Spool._send_now

    def append_and_measure(file: SpoolFile, kind: Any, payload: Any) -> None:
        append(file, kind, payload)
        sizes.append(sum(path.stat().st_size for path in files(folder)))

    def come_back_and_send(spool: Spool) -> None:
        log.back.set()
        send_now(spool)

    monkeypatch.setattr(SpoolFile, "append", append_and_measure)
    monkeypatch.setattr(Spool, "_send_now", come_back_and_send)
    log.back.clear()
    episode = write_episode(writer, steps := sample_episode(1, 500))
    assert log.back.is_set(), "the worker came to wait"
    assert 9_000 < max(sizes) <= 10_000
    assert writer.waited_s > 0
    assert writer.close(LONG_S) == 0
    np.testing.assert_array_equal(log.timesteps(episode).state, [step.state for step in steps])


def test_a_batch_that_is_larger_than_the_spool_passes_through(log: Away, folder: Path) -> None:
    writer = log.writer("run", "w", spool=folder, spool_bytes=1)
    write_episode(writer, sample_episode(1, 30))
    assert writer.close(LONG_S) == 0
    assert log.counts("run").timesteps == 31


def test_a_store_that_refuses_is_heard_of_at_the_next_call(log: Away, folder: Path) -> None:
    steps = sample_episode(1, 9)
    writer = log.writer("run", "w", spool=folder)
    other = LogWriter(log, log._codec("run"), run="run", worker="w", writer=writer.writer, batch=5)
    begin_and_add(other, steps[:5])
    begin_and_add(writer, steps)
    with pytest.raises(RuntimeError, match="another process writes"):
        writer.drain(LONG_S)
    with pytest.raises(RuntimeError, match="another process writes"):
        writer.add(later_step(np.random.default_rng(1), 10))
    the_spool(writer)._sender.join(LONG_S)
    assert files(folder) == []
    ((kept, why),) = refused_in(folder)
    assert kept.exists(), "for a person, and not sent at the next start"
    assert "another process writes" in why


def test_two_writers_can_not_share_a_folder(log: Away, folder: Path) -> None:
    writer = log.writer("run", "w", spool=folder)
    with pytest.raises(RuntimeError, match="one process per worker name"):
        log.writer("run", "w", spool=folder)
    writer.close(LONG_S)
    log.writer("run", "w", spool=folder).close(LONG_S)


def test_closing_says_how_much_is_left_for_the_next_start(
    log: Away, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = log.writer("run", "w", spool=folder)
    log.back.clear()
    steps = sample_episode(1, 9)
    episode = write_episode(writer, steps)
    assert writer.close(0.0) == 12, "how the episode began, 10 timesteps, and the episode's document"
    assert "left in" in caplog.text
    with pytest.raises(RuntimeError, match="was closed"):
        writer.begin(START, steps[0])
    log.back.set()
    the_spool(writer)._sender.join(LONG_S)
    log.writer("run", "w", spool=folder).close(LONG_S)
    assert log.episodes_after("run", {}) == [episode]
    np.testing.assert_array_equal(log.timesteps(episode).state, [step.state for step in steps])


@pytest.mark.parametrize("partial", [0, 50], ids=["nothing fits", "a part fits"])
def test_a_full_disk_makes_the_worker_wait_for_the_store(
    log: Away, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, partial: int
) -> None:
    pwritev, full = os.pwritev, [False]

    def write(descriptor: int, parts: Any, offset: int) -> int:
        if not full[0]:
            return pwritev(descriptor, parts, offset)
        if partial == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwritev(descriptor, [b"".join(bytes(part) for part in parts)[:partial]], offset)

    monkeypatch.setattr("agents.replay.spool_file.os.pwritev", write)
    writer = log.writer("run", "w", spool=folder)
    steps = sample_episode(1, 30)
    with caplog.at_level(logging.WARNING):
        begin_and_add(writer, steps[:10])
        full[0] = True
        for step in steps[10:20]:
            writer.add(step)
        assert log.counts("run").timesteps == 20, "what came before, and what could not be written to the disk"
        assert writer.waited_s > 0
        full[0] = False
        for step in steps[20:]:
            writer.add(step)
    assert caplog.text.count("can not be written, waiting for the store") == 1
    assert caplog.text.count("can be written again") == 1
    episode = writer.abort()
    assert episode is not None
    assert writer.close(LONG_S) == 0
    np.testing.assert_array_equal(log.timesteps(episode).state, [step.state for step in steps])


def test_an_interrupt_in_the_middle_of_a_write_neither_loses_nor_doubles(
    log: Away, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, calls = SpoolFile.append, [0]

    def append_and_be_interrupted(file: SpoolFile, kind: Any, payload: Any) -> None:
        append(file, kind, payload)
        calls[0] += 1
        if calls[0] == 6:
            raise KeyboardInterrupt

    steps = sample_episode(1, 9)
    writer = log.writer("run", "w", spool=folder)
    log.back.clear()
    monkeypatch.setattr(SpoolFile, "append", append_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        begin_and_add(writer, steps)
    log.back.set()
    episode = writer.abort()
    assert episode is not None
    assert episode.ended == ABORTED
    assert writer.close(LONG_S) == 0
    found = log.timesteps(episode)
    np.testing.assert_array_equal(found.state, [step.state for step in steps[: episode.length + 1]])
    assert log.counts("run").timesteps == episode.length + 1
