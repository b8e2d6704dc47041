"""A run while it goes on: it tends its processes, and ends when it should."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pymongo.uri_parser import parse_uri

from agents.checkpoints.contract import CheckpointCorrupt
from agents.checkpoints.memory import MemoryCheckpoints
from agents.replay.contract import ReplayUnavailable
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.stopping import StopFlag
from infra.faults.network import Line
from infra.fleet.local import LocalFleet
from infra.live import View
from infra.progress import Observer
from infra.run import RunOptions, _watch
from tests.clock import Clock
from tests.runs import RUN, open_run, small_config


def until(condition: Callable[[], bool]) -> None:
    given_up_s = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < given_up_s, "never happened"
        time.sleep(0.05)


class TimedFlag(StopFlag):
    """Whoever waits for it lets the clock go on instead."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, seconds: float) -> bool:
        self._clock.sleep(seconds)
        return self()


@pytest.mark.mongo
def test_a_run_tends_its_processes_and_hears_a_stop_while_the_database_is_away(
    mongodb_uri: str, database_name: str, tmp_path: Path
) -> None:
    host, port = parse_uri(mongodb_uri)["nodelist"][0]
    wire = Line(host, port)
    far = MongoReplay(mongodb_uri.replace(f":{port}/", f":{wire.port}/"), database_name, patience_s=0.3)
    config = small_config()
    open_run(far, config)
    tended: list[float] = []

    class Fleet(LocalFleet):
        def tend(self, undisturbed_s: float) -> None:
            tended.append(undisturbed_s)

    stop = StopFlag()
    observer = Observer(RUN, far, MemoryCheckpoints(), tmp_path)
    arguments = (RunOptions(name=RUN), config, Fleet(tmp_path, {}), observer, View(RUN, None), stop)
    watching = threading.Thread(target=_watch, args=arguments)
    watching.start()
    until(lambda: tended[-1:] > [0.5])
    wire.cut()
    # Their silence does not count while the database is away, and they are looked after all the same.
    until(lambda: tended[-4:] == [0.0] * 4)
    stop.set()
    watching.join(120.0)
    assert not watching.is_alive()
    with pytest.raises(ReplayUnavailable):
        far.counts(RUN)
    far.close()
    wire.close()


def test_a_run_ends_by_itself_after_its_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, replay, config = Clock(), MemoryReplay(), small_config()
    monkeypatch.setattr("infra.run.time", clock)
    open_run(replay, config)
    observer = Observer(RUN, replay, MemoryCheckpoints(), tmp_path)
    started_s = clock.monotonic()
    _watch(RunOptions(minutes=2.0), config, LocalFleet(tmp_path, {}), observer, View(RUN, 2.0), TimedFlag(clock))
    assert clock.monotonic() - started_s == 120.0


def test_a_damaged_pointer_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Damaged(MemoryCheckpoints):
        looks = 0

        def latest(self, run: str) -> None:
            self.looks += 1
            if self.looks == 3:
                stop.set()
            raise CheckpointCorrupt("latest.json is corrupt")

    clock = Clock()
    monkeypatch.setattr("infra.run.time", clock)
    replay, store, stop = MemoryReplay(), Damaged(), TimedFlag(clock)
    config = small_config()
    open_run(replay, config)
    observer = Observer(RUN, replay, store, tmp_path)
    _watch(RunOptions(name=RUN), config, LocalFleet(tmp_path, {}), observer, View(RUN, None), stop)
    assert store.looks == 3
