"""The right to train a run: one learner at a time, whoever dies or is cut off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from agents.lease import Lease, LeaseLost, RunIsTaken
from agents.replay.contract import Replay, ReplayUnavailable
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from tests.clock import Clock
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
        self.delay: Callable[[], object] = lambda: None
        """Of an answer."""

    def acquire_lease(self, run: str, holder: str, *, seconds: float) -> int:
        if self.failure is not None:
            raise self.failure
        self.renewals += 1
        got_it = self._replay.acquire_lease(run, holder, seconds=seconds)
        self.delay()
        return got_it

    def __getattr__(self, name: str) -> Any:
        return getattr(self._replay, name)


class Pause(threading.Event):
    """The lease's wait between renewals: over when the test says so, and then all of its time has passed."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._begun, self._over = threading.Semaphore(0), threading.Semaphore(0)
        self.lengths_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.lengths_s.append(timeout)
        self._begun.release()
        self._over.acquire()
        return self.is_set()

    def set(self) -> None:
        super().set()
        self._over.release()

    def begins(self) -> None:
        """Returns when the thread waits: what it had to do before is done."""
        assert self._begun.acquire(timeout=60)

    def ends(self, after_s: float | None = None) -> None:
        """Lets the thread go on, at the end of its wait or `after_s` its last step; returns when it waits again."""
        self._clock.sleep(self.lengths_s[-1] if after_s is None else after_s)
        self._over.release()
        self.begins()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the lease and of the log in memory."""
    made = Clock()
    monkeypatch.setattr("agents.lease.time", made)
    monkeypatch.setattr("agents.replay.memory.time", made)
    return made


@pytest.fixture
def wire() -> Wire:
    log = MemoryReplay()
    log.open_run(sample_run())
    return Wire(log)


@pytest.fixture
def pause(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Pause:
    made = Pause(clock)
    monkeypatch.setattr("agents.lease.threading", SimpleNamespace(Event=lambda: made, Thread=threading.Thread))
    return made


def until(condition: Callable[[], bool]) -> None:
    given_up_s = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < given_up_s, "never happened"
        time.sleep(0.01)


def fails(lease: Lease) -> bool:
    """Whether the learner hears that it can not go on."""
    try:
        lease.check()
    except (LeaseLost, RuntimeError):
        return True
    return False


def test_a_second_learner_is_refused_and_told_who_trains(replay: Replay) -> None:
    first = Lease(replay, "run", "host-a:1", seconds=60.0)
    first.take()
    started = time.monotonic()
    with pytest.raises(RunIsTaken, match=r"run 'run' is trained by host-a:1; stop that learner first"):
        Lease(replay, "run", "host-b:2", seconds=0.5).take()
    assert time.monotonic() - started >= 0.5, "a dead learner's lease would have run out by then"
    assert first.valid()
    first.check()
    first.release()


def test_a_dead_learner_s_lease_runs_out_and_is_taken(replay: Replay) -> None:
    started = time.monotonic()
    assert replay.acquire_lease("run", "dead:1", seconds=1.5)
    second = Lease(replay, "run", "host-b:2", seconds=60.0)
    second.take()
    assert time.monotonic() - started >= 1.4
    assert replay.lease_holder("run") == "host-b:2"
    assert second.valid()
    second.release()


def test_a_lease_is_renewed_in_any_log(replay: Replay) -> None:
    wire = Wire(replay)
    lease = Lease(wire, "run", "a:1", seconds=0.6)
    lease.take()
    until(lambda: wire.renewals >= 5)
    until(lambda: lease.valid() and replay.lease_holder("run") == "a:1")
    lease.release()
    assert replay.lease_holder("run") is None


def test_a_lease_is_kept_for_longer_than_it_lasts_by_rare_renewals(clock: Clock, wire: Wire, pause: Pause) -> None:
    lease = Lease(wire, "run", "a:1", seconds=9.0)
    lease.take()
    pause.begins()
    for _ in range(10):
        pause.ends()
        assert lease.valid()
        assert wire.lease_holder("run") == "a:1"
    assert pause.lengths_s == [3.0] * 11
    assert wire.renewals == 11
    lease.release()


def test_release_frees_the_run_and_ends_the_thread(replay: Replay) -> None:
    before = set(threading.enumerate())
    lease = Lease(replay, "run", "a:1", seconds=30.0)
    lease.take()
    # By identity: threads of what ran before may end meanwhile.
    assert [thread.name for thread in set(threading.enumerate()) - before] == ["lease"]
    lease.release()
    assert replay.lease_holder("run") is None
    assert set(threading.enumerate()) <= before
    assert replay.acquire_lease("run", "b:2", seconds=1.0)


def test_a_lease_taken_over_is_noticed_and_ends_publishing(replay: Replay) -> None:
    lease = Lease(replay, "run", "a:1", seconds=0.9)
    lease.take()
    # Its thread may renew the lease in between.
    while not replay.acquire_lease("run", "b:2", seconds=600.0):
        replay.release_lease("run", "a:1")
    until(lambda: fails(lease))
    assert not lease.valid()
    with pytest.raises(LeaseLost, match="'run' was taken over by b:2"):
        lease.check()
    lease.release()
    assert replay.lease_holder("run") == "b:2", "who lost the run may not free it for others"


def test_a_learner_that_is_cut_off_stops_publishing_before_anyone_else_may_begin(
    clock: Clock, wire: Wire, pause: Pause
) -> None:
    wire.delay = lambda: clock.sleep(1.0)
    lease = Lease(wire, "run", "a:1", seconds=9.0)
    lease.take()
    asked_s = clock.monotonic() - 1.0
    pause.begins()
    wire.failure = ReplayUnavailable("away")
    while lease.valid():
        assert wire.lease_holder("run") == "a:1"
        pause.ends(after_s=0.25)
    assert clock.monotonic() == asked_s + 9.0
    lease.check()
    wire.failure = None
    pause.ends()
    assert lease.valid()
    assert wire.lease_holder("run") == "a:1"
    lease.check()
    lease.release()


def test_a_learner_that_slept_through_another_one_has_lost_the_run(clock: Clock, wire: Wire, pause: Pause) -> None:
    """It wakes up when the other has ended: the run is free, and what it knows is old."""
    lease = Lease(wire, "run", "a:1", seconds=9.0)
    lease.take()
    pause.begins()
    clock.sleep(20.0)
    assert wire.acquire_lease("run", "b:2", seconds=9.0) > lease.term
    wire._replay.release_lease("run", "b:2")
    pause._over.release()
    until(lambda: fails(lease))
    assert not lease.valid()
    with pytest.raises(LeaseLost, match="taken over by another, which has ended; this learner stops"):
        lease.check()
    lease.release()
    assert wire.lease_holder("run") is None


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_lease_that_can_not_be_renewed_for_good_reaches_the_learner(wire: Wire) -> None:
    lease = Lease(wire, "run", "a:1", seconds=0.3)
    lease.take()
    lease.check()
    wire.failure = KeyError("no run 'run'")
    until(lambda: fails(lease))
    with pytest.raises(RuntimeError, match="lease of run 'run' can not be renewed") as error:
        lease.check()
    assert error.value.__cause__ is wire.failure
    lease.release()
