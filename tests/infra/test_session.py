"""What a session notes of itself: once a minute, at its end, and of every process that it started."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from agents.replay.contract import ReplayUnavailable
from agents.replay.memory import MemoryReplay
from infra.fleet.local import LocalFleet, ProcessSpec
from infra.session import STARTED, STOPPED, USED, Account, Session
from tests.clock import Clock
from tests.runs import RUN, open_run, small_config

BURN = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\ntime.sleep(600)"


def test_an_account_has_every_child_this_process_and_the_services_since_it_began(fleet: LocalFleet) -> None:
    with subprocess.Popen([sys.executable, "-c", BURN], stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == "done\n"
        account = Account(fleet, lambda: {"mongod": service.pid})
        fleet.start(ProcessSpec("worker-0.some.host", ("-c", BURN)))
        given_up_s = time.monotonic() + 60
        while "done" not in fleet.last_words("worker-0.some.host"):
            assert time.monotonic() < given_up_s
            time.sleep(0.02)
        used = account()
        service.kill()
    assert set(used) == {"worker-0", "run", "mongod"}
    assert 0.25 <= used["worker-0"] < 5.0
    assert used["run"] > 0.0
    assert used["mongod"] < 0.1, "what it did before is not this session's"


def test_a_service_that_starts_again_keeps_what_it_has_used(fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {1: 100.0, 2: 7.0}
    monkeypatch.setattr("infra.session.processor_s", lambda pid: seconds.get(pid, 0.0))
    running = {"s3": 1}
    account = Account(fleet, lambda: running)
    seconds[1] = 130.0
    assert account()["s3"] == 30.0
    del seconds[1]
    running = {"s3": 2}
    assert account()["s3"] == 37.0, "all of the new life began after the session did"


def test_a_session_notes_its_start_what_it_uses_once_a_minute_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, replay, spent = Clock(), MemoryReplay(), {"learner": 1.0}
    monkeypatch.setattr("infra.session.time", clock)
    open_run(replay, small_config())
    session = Session(RUN, replay, lambda: spent)
    session.begin(recipe="walk", command="make walk")
    for _ in range(250):
        session.go_on()
        clock.sleep(0.5)
    spent["learner"] = 9.0
    session.end(killed=[])
    noted = [(event["kind"], event["details"]) for event in replay.events(RUN)]
    assert [kind for kind, _ in noted] == [STARTED, USED, USED, USED, STOPPED]
    assert [details["seconds"] for kind, details in noted if kind == USED] == [{"learner": 1.0}] * 2 + [
        {"learner": 9.0}
    ]
    assert len({details["session"] for _, details in noted}) == 1
    started = noted[0][1]
    assert (started["recipe"], started["command"], started["cores"]) == (
        "walk",
        "make walk",
        len(os.sched_getaffinity(0)),
    )
    assert noted[-1][1]["killed"] == []


def test_a_database_that_is_away_does_not_end_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away(MemoryReplay):
        def event(self, run: str, process: str, kind: str, **details: object) -> None:
            raise ReplayUnavailable("away")

    clock = Clock()
    monkeypatch.setattr("infra.session.time", clock)
    session = Session(RUN, Away(), dict)
    session.go_on()
    with pytest.raises(ReplayUnavailable):
        session.end(killed=[])
