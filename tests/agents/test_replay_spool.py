"""What waits in spool folders: told without a database, and sent once, when its worker is dead."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.replay.data.spools import look, spools_text, waiting_text
from agents.replay.log import Log
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import ABORTED
from agents.replay.spool_file import SpoolFile
from agents.replay.spool_folder import SpoolFolder, SpoolInUse, is_in_use
from agents.replay.spool_places import spool_path, spool_places
from agents.replay.writer import LogWriter
from tests.agents.spools import START, begin_and_add, block_of, files, killed
from tests.contracts.replay_samples import sample_episode, sample_run, write_episode
from tests.replay_runs import command

ROOT = Path(__file__).resolve().parents[2]
STUCK_WORKER = """
import os, sys, threading
from pathlib import Path
from agents.replay.mongo import MongoReplay
from tests.agents.spools import begin_and_add
from tests.contracts.replay_samples import sample_episode, write_episode
log = MongoReplay(os.environ["MONGODB_URI"], os.environ["MONGODB_DATABASE"])
writer = log.writer("run", "w", batch=10, spool=Path(sys.argv[1]))
log.insert_timesteps = lambda rows, again: threading.Event().wait()
write_episode(writer, sample_episode(1, 25))
begin_and_add(writer, sample_episode(2, 100)[:38])
print("written", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def log(mongodb_uri: str, database_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MongoReplay]:
    monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("MONGODB_DATABASE", database_name)
    monkeypatch.setenv("S3_BUCKET", "unused")
    replay = MongoReplay(mongodb_uri, database_name)
    replay.open_run(sample_run())
    yield replay
    replay.close()


@pytest.fixture
def elsewhere() -> MemoryReplay:
    """A log that no command knows."""
    store = MemoryReplay()
    store.open_run(sample_run())
    return store


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def ask(*arguments: str) -> Any:
        command(*arguments, "--json")
        return json.loads(capsys.readouterr().out)

    return ask


@contextmanager
def stuck_worker(folder: Path) -> Iterator[None]:
    """A process whose store takes no timesteps; killed at the end."""
    worker = subprocess.Popen(
        [sys.executable, "-c", STUCK_WORKER, str(folder)], cwd=ROOT, env=os.environ, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        assert worker.stdout.readline() == "written\n"
        yield
    finally:
        worker.kill()
        worker.wait()
        worker.stdin.close()
        worker.stdout.close()


def one_episode(writer: LogWriter) -> None:
    write_episode(writer, sample_episode(1, 25))


def left_behind(log: Log, folder: Path, image: Path) -> Path:
    """A killed worker's folder."""
    killed(log, image, one_episode)
    return shutil.copytree(image, folder)


@pytest.mark.mongo
def test_what_a_killed_worker_left_is_told_and_sent_once(
    log: MongoReplay, data: Path, told: Callable[..., Any]
) -> None:
    folder = spool_path(data, "run", "w")
    with stuck_worker(folder):
        pass
    (left,) = told("spool")["spools"]
    assert (left["run"], left["worker"], left["in_use"], left["is_left"]) == ("run", "w", False, True)
    assert (left["contents"]["timesteps"], left["contents"]["documents"]) == (26 + 38, 3)
    assert left["contents"]["bytes"] == sum(path.stat().st_size for path in files(folder))
    assert log.counts("run").timesteps == 0, "to look sends nothing"
    (sent,) = told("spool", "--send")["sent"]
    assert (sent["count"], sent["aborted"], sent["refused"], sent["problem"]) == (26 + 38 + 3, 1, 0, None)
    finished, aborted = log.episodes_after("run", {})
    assert [(one.length, one.ended) for one in (finished, aborted)] == [(25, "fall"), (37, ABORTED)]
    np.testing.assert_array_equal(log.timesteps(finished).state, [s.state for s in sample_episode(1, 25)])
    np.testing.assert_array_equal(log.timesteps(aborted).state, [s.state for s in sample_episode(2, 100)[:38]])
    before = log.counts("run"), log.events("run")
    again = told("spool", "--send")
    assert again["sent"] == []
    assert [one["is_left"] for one in again["spools"]] == [False]
    assert (log.counts("run"), log.events("run")) == before


@pytest.mark.mongo
def test_what_was_sent_but_not_deleted_is_not_there_twice_when_it_is_sent_again(
    log: MongoReplay, data: Path, tmp_path: Path, told: Callable[..., Any]
) -> None:
    folder, image = spool_path(data, "run", "w"), tmp_path / "image"
    killed(log, image, one_episode)
    for _ in range(2):
        shutil.copytree(image, folder, dirs_exist_ok=True)
        (sent,) = told("spool", "--send")["sent"]
        assert (sent["aborted"], sent["refused"], sent["problem"]) == (0, 0, None)
    assert (log.counts("run").timesteps, log.counts("run").episodes) == (26, 1)


@pytest.mark.mongo
def test_the_folder_of_a_living_worker_is_left_alone(
    log: MongoReplay, data: Path, told: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = spool_path(data, "run", "w")
    with stuck_worker(folder):
        found = told("spool", "--send")
        assert found["sent"] == []
        assert [(one["in_use"], one["is_left"]) for one in found["spools"]] == [(True, False)]
        assert found["spools"][0]["contents"]["timesteps"] == 64
        assert told("summary")["spools"] == []
        command("summary")
        assert "on this machine" not in capsys.readouterr().out
        assert log.counts("run").timesteps == 0
        (path,) = files(folder)
        assert path.stat().st_size == found["spools"][0]["contents"]["bytes"]


@pytest.mark.mongo
def test_an_episode_that_a_life_elsewhere_is_in_the_middle_of_stays_open(
    log: MongoReplay, data: Path, tmp_path: Path
) -> None:
    left_behind(log, spool_path(data, "run", "w"), tmp_path / "image")
    living = log.writer("run", "w")
    steps = sample_episode(3, 20)
    begin_and_add(living, steps[:15])
    living.drain(0.0)
    command("spool", "--send")
    assert [one.length for one in log.episodes_after("run", {})] == [25]
    living.add(steps[15])
    assert living.abort() is not None


@pytest.mark.mongo
def test_the_summary_says_in_one_line_what_waits_and_what_was_refused(
    log: MongoReplay, elsewhere: MemoryReplay, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command("summary")
    assert "on this machine" not in capsys.readouterr().out
    left_behind(elsewhere, spool_path(data, "run", "a"), tmp_path / "a")
    command("summary")
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "on this machine" in line)
    assert line == "on this machine: 26 timesteps of 1 dead workers may not have been sent (`replay spool --send`)"
    command("spool", "--send")
    text = capsys.readouterr().out
    assert "0 timesteps and documents sent, 0 episodes closed as aborted, 1 files refused" in text
    assert "(26 timesteps): this log does not know the worker's life that wrote it" in text
    command("summary")
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "on this machine" in line)
    assert line == "on this machine: 26 timesteps in 1 files were refused (`replay spool` says why)"
    assert log.counts("run").timesteps == 0


@pytest.mark.mongo
def test_leftovers_of_a_run_that_the_database_lacks_stay_and_the_others_are_sent(
    log: MongoReplay, elsewhere: MemoryReplay, data: Path, tmp_path: Path
) -> None:
    kept = left_behind(elsewhere, spool_path(data, "another", "w"), tmp_path / "image")
    sent = left_behind(log, spool_path(data, "run", "w"), tmp_path / "other")
    with pytest.raises(ValueError, match="1 spool folders were left as they are: no run 'another'; there are: run"):
        command("spool", "--send")
    assert files(kept) != []
    assert files(kept, "refused") == files(sent) == []
    assert log.counts("run").timesteps == 26
    command("spool", "--send", "--run", "run")


def test_a_listing_needs_no_database(data: Path, elsewhere: MemoryReplay, tmp_path: Path, told: Any) -> None:
    left_behind(elsewhere, spool_path(data, "run", "w"), tmp_path / "image")
    assert [one["is_left"] for one in told("spool")["spools"]] == [True]
    assert told("spool", "--run", "another")["spools"] == []
    assert "no worker" in spools_text([])


def test_timesteps_are_counted_one_by_one_however_they_were_written(
    elsewhere: MemoryReplay, data: Path, tmp_path: Path
) -> None:
    def work(writer: LogWriter) -> None:
        steps = sample_episode(1, 25)
        writer.begin(START, steps[0])
        writer.add_many(block_of(steps[1:]))

    killed(elsewhere, tmp_path / "image", work)
    shutil.copytree(tmp_path / "image", spool_path(data, "run", "w"))
    (found,) = look(data)
    assert (found.contents.timesteps, found.contents.documents) == (26, 1)


def test_workers_are_told_by_their_own_names(data: Path) -> None:
    for worker in ("b", "a/../b"):
        spool_path(data, "run", worker).mkdir(parents=True)
    (data / "spool" / "run" / "a file").touch()
    assert [(place.run, place.worker) for place in spool_places(data)] == [("run", "a/../b"), ("run", "b")]


def test_what_lies_behind_a_damaged_record_is_told_in_bytes(
    elsewhere: MemoryReplay, data: Path, tmp_path: Path
) -> None:
    folder = left_behind(elsewhere, spool_path(data, "run", "w"), tmp_path / "image")
    (path,) = files(folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (found,) = look(data)
    assert found.is_left
    assert 0 < found.contents.timesteps < 26
    assert 0 < found.contents.unread_bytes < found.contents.bytes == len(content)


def test_a_folder_that_holds_no_more_than_who_wrote_it_leaves_nothing_to_say(
    elsewhere: MemoryReplay, data: Path, tmp_path: Path
) -> None:
    killed(elsewhere, tmp_path / "image", lambda writer: writer.note("worker_stopped"))
    folder = shutil.copytree(tmp_path / "image", spool_path(data, "run", "w"))
    (found,) = look(data)
    assert found.contents.documents == 1
    (path,) = files(folder)
    with path.open("r+b") as file:
        file.truncate(_end_of_the_first_record(path))
    (found,) = look(data)
    assert found.to_send
    assert not found.is_left
    assert waiting_text([found]) == []


def _end_of_the_first_record(path: Path) -> int:
    file = SpoolFile(path)
    end = next(file.records(0, file.end)).end
    file.close()
    return end


def test_a_worker_that_starts_while_its_folder_is_looked_at_waits_for_the_glance(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.replay.spool_folder._PATIENCE_S", 60.0)
    glance = SpoolFolder(data)
    glances = [glance]
    threading.Timer(0.2, lambda: glances.pop().release()).start()
    mine = SpoolFolder(data)
    assert glances == [], "it has waited until the look was over"
    assert is_in_use(data), "and has the folder now"
    mine.release()
    assert not is_in_use(data)


def test_to_look_does_not_keep_the_folder(data: Path) -> None:
    folder = spool_path(data, "run", "w")
    SpoolFolder(folder).release()
    assert [one.in_use for one in look(data)] == [False]
    mine = SpoolFolder(folder)
    assert [one.in_use for one in look(data)] == [True]
    with pytest.raises(SpoolInUse, match="used by another process"):
        SpoolFolder(folder)
    mine.release()


def test_a_reason_that_could_not_be_written_does_not_hide_the_file(data: Path) -> None:
    folder = spool_path(data, "run", "w")
    folder.mkdir(parents=True)
    (folder / "0000001-0000000.0.refused").touch()
    (found,) = look(data)
    assert [one.reason for one in found.refused] == ["the reason was not kept"]
