"""What only the MongoDB log can show: outages, lost replies, credentials, durability, and what others read."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from pymongo import MongoClient
from pymongo.hello import Hello
from pymongo.uri_parser import parse_uri

from agents.replay.contract import ReplayUnavailable
from agents.replay.mongo import MongoReplay
from agents.replay.runs import EpisodeStart
from infra.faults.network import Line
from tests.contracts.replay_samples import sample_episode, sample_run, write_episode

pytestmark = pytest.mark.mongo

START = EpisodeStart(seed=1, policy_version=1)


def _uri(uri: str, *, port: int | None = None, user: str | None = None, password: str | None = None) -> str:
    parsed = parse_uri(uri)
    host, real_port = parsed["nodelist"][0]
    name, word = quote(user or parsed["username"]), quote(password or parsed["password"])
    source = parsed["options"].get("authsource", "admin")
    return f"mongodb://{name}:{word}@{host}:{port or real_port}/?authSource={source}&directConnection=true"


@pytest.fixture
def line(mongodb_uri: str) -> Iterator[Line]:
    wire = Line(*parse_uri(mongodb_uri)["nodelist"][0])
    yield wire
    wire.close()


@pytest.fixture
def replay(mongodb_uri: str, database_name: str) -> Iterator[MongoReplay]:
    log = MongoReplay(mongodb_uri, database_name)
    log.open_run(sample_run())
    yield log
    log.close()


@pytest.fixture
def far(line: Line, mongodb_uri: str, database_name: str) -> Iterator[MongoReplay]:
    """The same log, seen through the line."""
    log = MongoReplay(_uri(mongodb_uri, port=line.port), database_name, connect_s=1.0)
    log.open_run(sample_run())
    yield log
    log.close()


@contextlib.contextmanager
def mended_after(line: Line, seconds: float) -> Iterator[threading.Event]:
    """Mends the line so long after the first call has noticed that the server is away."""
    noticed, mended = threading.Event(), threading.Event()
    ears = logging.Handler()
    ears.emit = lambda record: noticed.set()  # type: ignore[method-assign]

    def mend() -> None:
        noticed.wait()
        time.sleep(seconds)
        mended.set()
        line.mend()

    mending = threading.Thread(target=mend)
    mending.start()
    log = logging.getLogger("agents.replay.mongo_patience")
    log.addHandler(ears)
    try:
        yield mended
    finally:
        log.removeHandler(ears)
        noticed.set()
        mending.join()


def test_a_worker_waits_for_the_server_and_loses_nothing(far: MongoReplay, replay: MongoReplay, line: Line) -> None:
    steps = sample_episode(1, 40)
    writer = far.writer("run", "w", batch=10)
    writer.begin(START, steps[0])
    for step in steps[1:16]:
        writer.add(step)
    assert writer.waited_s == 0
    line.cut()
    with mended_after(line, 0.5) as mended:
        for step in steps[16:]:
            writer.add(step)
        assert mended.is_set(), "a full batch waits instead of growing"
    episode = writer.end(ended="fall", reward_terms={"all": sum(s.reward for s in steps)}, step_ms_mean=1.0)
    assert writer.waited_s > 0.5
    np.testing.assert_array_equal(replay.timesteps(episode).state, [step.state for step in steps])
    assert replay.counts("run").timesteps == 41


def test_lost_replies_to_inserts_neither_lose_nor_double_timesteps(
    far: MongoReplay, replay: MongoReplay, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    steps = sample_episode(2, 30)
    writer = far.writer("run", "w", batch=10)
    # The driver tries a lost write once more by itself; the third attempt is ours.
    line.replies_to_lose = 3
    with caplog.at_level(logging.WARNING):
        episode = write_episode(writer, steps)
    assert line.replies_to_lose == 0
    assert "replay store is away" in caplog.text
    assert replay.counts("run").timesteps == 31
    np.testing.assert_array_equal(replay.timesteps(episode).state, [step.state for step in steps])


def test_readers_wait_as_well(far: MongoReplay, replay: MongoReplay, line: Line) -> None:
    episode = write_episode(replay.writer("run", "w"), sample_episode(3, 300))
    far.run("run")
    line.cut()
    with mended_after(line, 0.5):
        assert len(far.timesteps(far.episodes_after("run", {})[0]).reward) == episode.length + 1
    assert far.waited_s > 0.5


def test_a_reader_needs_no_sessions(
    replay: MongoReplay, mongodb_uri: str, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    episode = write_episode(replay.writer("run", "w"), sample_episode(3, 300))
    # As a connection finds mongod that is made before it has become a member of its replica set.
    monkeypatch.setattr(Hello, "logical_session_timeout_minutes", None)
    with contextlib.closing(MongoReplay(mongodb_uri, database_name)) as early:
        found = early.timesteps(episode)
    np.testing.assert_array_equal(found.state, replay.timesteps(episode).state)


def test_patience_ends_with_an_error_that_says_so(line: Line, mongodb_uri: str, database_name: str) -> None:
    log = MongoReplay(_uri(mongodb_uri, port=line.port), database_name, connect_s=0.3, patience_s=0.5)
    line.cut()
    with pytest.raises(ReplayUnavailable, match="did not answer for"):
        log.runs()
    log.close()


def test_closing_ends_a_wait(far: MongoReplay, line: Line) -> None:
    line.cut()
    threading.Timer(0.5, far.close).start()
    with pytest.raises(ReplayUnavailable):
        far.runs()


def test_a_killed_worker_leaves_a_readable_log(replay: MongoReplay, mongodb_uri: str, database_name: str) -> None:
    script = """
import os, sys, time
from agents.replay.runs import EpisodeStart
from agents.replay.mongo import MongoReplay
from tests.contracts.replay_samples import sample_episode, write_episode
log = MongoReplay(os.environ["URI"], os.environ["DATABASE"])
writer = log.writer("run", "w", batch=10)
write_episode(writer, sample_episode(1, 25))
steps = sample_episode(2, 100)
writer.begin(EpisodeStart(seed=5, policy_version=2, purpose="explore"), steps[0])
for step in steps[1:38]:
    writer.add(step)
print("writing", flush=True)
time.sleep(60)
"""
    environment = os.environ | {"URI": mongodb_uri, "DATABASE": database_name}
    worker = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "writing\n"
    worker.kill()
    worker.wait()
    worker.stdout.close()
    replay.writer("run", "w")
    finished, aborted = replay.episodes_after("run", {})
    assert (finished.length, finished.ended) == (25, "fall")
    assert (aborted.length, aborted.ended, aborted.start.seed, aborted.start.purpose) == (29, "aborted", 5, "explore")
    np.testing.assert_array_equal(replay.timesteps(aborted).state, [s.state for s in sample_episode(2, 100)[:30]])


@pytest.mark.usefixtures("replay")
def test_writer_numbers_are_unique_among_clients(mongodb_uri: str, database_name: str) -> None:
    numbers: list[int] = []

    def start(worker: str) -> None:
        log = MongoReplay(mongodb_uri, database_name)
        numbers.extend(log.writer("run", worker).writer for _ in range(3))
        log.close()

    threads = [threading.Thread(target=start, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 13))


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ReplayUnavailable, match=f"127.0.0.1:{port} does not answer") as error:
        MongoReplay(f"mongodb://user:hunter2@127.0.0.1:{port}/", connect_s=0.5)
    assert "hunter2" not in str(error.value)


def test_a_wrong_password_is_named_without_it(mongodb_uri: str) -> None:
    with pytest.raises(ReplayUnavailable, match="refuses the credentials") as error:
        MongoReplay(_uri(mongodb_uri, password="hunter2"))
    assert "hunter2" not in str(error.value)


def test_missing_credentials_are_asked_for(mongodb_uri: str, database_name: str) -> None:
    host, port = parse_uri(mongodb_uri)["nodelist"][0]
    with pytest.raises(ReplayUnavailable, match="asks for credentials"):
        MongoReplay(f"mongodb://{host}:{port}/?directConnection=true", database_name)


@pytest.mark.parametrize("uri", ["http://a:hunter2@b", "mongodb://a:hun/ter2@b:27017", "mongodb://a:b:hunter2@c"])
def test_a_uri_that_is_none_is_refused_without_quoting_it(uri: str) -> None:
    with pytest.raises(ReplayUnavailable, match="percent-encoded") as error:
        MongoReplay(uri)
    assert error.value.__cause__ is None
    assert "hunter2" not in str(error.value)


def test_every_write_waits_for_a_majority_and_the_journal(replay: MongoReplay) -> None:
    for collection in (replay._runs, replay._episodes, replay._timesteps, replay._events):
        assert collection.write_concern.document["w"] == "majority"
        assert collection.write_concern.document["j"] is True


def test_a_stranger_reads_the_log_by_its_field_names(replay: MongoReplay, mongodb_uri: str, database_name: str) -> None:
    steps = sample_episode(4, 12)
    episode = write_episode(replay.writer("run", "w"), steps)
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        data = client[database_name]
        assert set(data.list_collection_names()) == {"runs", "episodes", "timesteps", "events"}
        stored = list(data.timesteps.find({"episode": episode.id}).sort("step"))
        assert [document["reward"] for document in stored] == [step.reward for step in steps]
        assert stored[3]["state"].as_vector().data == steps[3].state.tolist()
        summary = data.episodes.find_one({"run": "run"})
        assert summary is not None
        assert (summary["return"], summary["length"], summary["ended"]) == (episode.episode_return, 12, "fall")
        assert summary["round_returns"] == {"round1": -episode.episode_return, "round2": episode.episode_return / 3}
        assert data.timesteps.index_information().keys() == {"_id_"}
        run = data.runs.find_one({"_id": "run"})
        assert run is not None
        assert run["state_names"] == list(sample_run().state_names)
