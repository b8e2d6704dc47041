"""The right to train a run: one learner at a time, whoever dies or is cut off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agents.lease import Lease, LeaseLost, RunIsTaken
from agents.replay.contract import Replay, ReplayUnavailable
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from tests.contracts.replay_samples import sample_run


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.mongo)])
def replay(request: pytest.FixtureRequest) -> Iterator[Replay]:
    log: Replay
    if request.param == "memory":
        log = MemoryReplay()
    else:
        uri, name = request.getfixturevalue("mongodb_uri"), request.getfixturevalue("database_name")
        log = MongoReplay(uri, name)
    log.open_run(sample_run())
    yield log
    log.close()


class Wire:
    """A log that can be out of reach for its lease, or fail."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self.failure: Exception | None = None
        self.renewals = 0

    def acquire_lease(self, run: str, holder: str, *, seconds: float) -> bool:
        if self.failure is not None:
            raise self.failure
        self.renewals += 1
        return self._replay.acquire_lease(run, holder, seconds=seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._replay, name)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> float:
    """Waits for the condition; returns how long that took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "never happened"
        time.sleep(0.01)
    return time.monotonic() - started


def test_a_second_learner_is_refused_and_told_who_trains(replay: Replay) -> None:
    first = Lease(replay, "run", "host-a:1", seconds=1.0)
    first.take()
    started = time.monotonic()
    with pytest.raises(RunIsTaken, match=r"run 'run' is trained by host-a:1; stop that learner first"):
        Lease(replay, "run", "host-b:2", seconds=0.5).take()
    assert time.monotonic() - started >= 0.5, "a dead learner's lease would have run out by then"
    assert first.valid()
    first.check()
    first.release()


def test_a_dead_learner_s_lease_runs_out_and_is_taken(replay: Replay) -> None:
    assert replay.acquire_lease("run", "dead:1", seconds=1.5)
    second = Lease(replay, "run", "host-b:2", seconds=2.0)
    started = time.monotonic()
    second.take()
    assert time.monotonic() - started >= 1.0
    assert replay.lease_holder("run") == "host-b:2"
    assert second.valid()
    second.release()


def test_a_lease_is_kept_for_longer_than_it_lasts(replay: Replay) -> None:
    lease = Lease(replay, "run", "a:1", seconds=0.6)
    lease.take()
    ends = time.monotonic() + 1.5
    while time.monotonic() < ends:
        assert lease.valid()
        assert replay.lease_holder("run") == "a:1"
        time.sleep(0.05)
    lease.release()


def test_release_frees_the_run_and_ends_the_thread(replay: Replay) -> None:
    before = threading.active_count()
    lease = Lease(replay, "run", "a:1", seconds=30.0)
    lease.take()
    lease.release()
    assert replay.lease_holder("run") is None
    assert threading.active_count() == before
    assert replay.acquire_lease("run", "b:2", seconds=1.0)


def test_a_lease_taken_over_is_noticed_and_ends_publishing(replay: Replay) -> None:
    lease = Lease(replay, "run", "a:1", seconds=0.9)
    lease.take()
    replay.release_lease("run", "a:1")
    assert replay.acquire_lease("run", "b:2", seconds=30.0)
    until(lambda: not lease.valid(), 2.0)
    with pytest.raises(LeaseLost, match="'run' was taken over by b:2"):
        lease.check()
    lease.release()
    assert replay.lease_holder("run") == "b:2", "who lost the run may not free it for others"


def test_a_learner_that_is_cut_off_stops_publishing_before_anyone_else_may_begin() -> None:
    log = MemoryReplay()
    log.open_run(sample_run())
    wire = Wire(log)
    lease = Lease(wire, "run", "a:1", seconds=0.9)
    lease.take()
    wire.failure = ReplayUnavailable("away")
    cut_off = time.monotonic()
    while lease.valid():
        assert log.lease_holder("run") == "a:1"
        time.sleep(0.005)
    assert 0.5 <= time.monotonic() - cut_off <= 1.0
    lease.check()
    wire.failure = None
    until(lease.valid, 1.0)
    assert log.lease_holder("run") == "a:1"
    lease.check()
    lease.release()


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_lease_that_can_not_be_renewed_for_good_reaches_the_learner() -> None:
    log = MemoryReplay()
    log.open_run(sample_run())
    wire = Wire(log)
    lease = Lease(wire, "run", "a:1", seconds=0.3)
    lease.take()
    lease.check()
    wire.failure = KeyError("no run 'run'")
    until(lambda: not lease.valid(), 2.0)
    with pytest.raises(RuntimeError, match="lease of run 'run' can not be renewed") as error:
        lease.check()
    assert error.value.__cause__ is wire.failure
    lease.release()


def test_renewing_is_rare() -> None:
    log = MemoryReplay()
    log.open_run(sample_run())
    wire = Wire(log)
    lease = Lease(wire, "run", "a:1", seconds=0.9)
    lease.take()
    time.sleep(1.0)
    assert 3 <= wire.renewals <= 4
    lease.release()
