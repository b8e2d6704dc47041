"""The main job on one machine: services, exploration, workers, learner, evaluator, a live view, a summary."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from agents.build import code_version, open_replay, open_store
from agents.checkpoints.contract import CheckpointCorrupt, CheckpointMissing, CheckpointStoreUnavailable
from agents.config import RunConfig, check_run_name, data_dir
from agents.connections import Connections
from agents.new_run import NewRun
from agents.replay.contract import Replay, ReplayUnavailable
from agents.replay.data import spools
from agents.replay.log import Log
from agents.stopping import StopFlag
from agents.telemetry import read_statuses
from agents.worker import Collected
from infra import summary as summaries
from infra.disk_room import DiskRoom
from infra.fleet.local import LocalFleet, ProcessSpec
from infra.live import View
from infra.progress import Observer
from infra.session import Account, Session

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 2.0
_PATIENCE_S = 5.0
"""How long a look at the database may take: the children are tended, and a request to stop is heard, in between."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Numeric libraries start a thread per core unless told otherwise, and would take the other workers' time."""


class RunFailed(RuntimeError):
    """The run could not start or go on. One sentence for the user."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What `python -m infra run` was asked for."""

    name: str = "first-light"
    minutes: float | None = None
    """Stop after so long; None runs until Ctrl-C."""
    updates: int | None = None
    """Stop soon after so many updates, counted over the run's whole life."""
    workers: int | None = None
    """Rollout workers; None is one less than the cores, at least one."""
    new: NewRun = field(default_factory=NewRun)
    """What the run is to be, or has to be if it exists."""
    summary: Path | None = None
    """Where to save the summary besides the run's own folder."""
    evaluator: bool = True
    recipe: str | None = None
    """Whose settings they are."""
    command: str | None = None
    """What was typed, to be told later."""

    def __post_init__(self) -> None:
        check_run_name(self.name)
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"--minutes {self.minutes:g} must be positive")
        if self.updates is not None and self.updates < 1:
            raise ValueError(f"--updates {self.updates} must be at least 1")
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"--workers {self.workers} must be at least 1")


def run(options: RunOptions, stop: StopFlag) -> dict[str, Any]:
    """Runs until `stop`, for `minutes` or `updates`, stops everything, returns the summary. The services must be up.

    Raises: RunFailed.
    """
    folder = data_dir() / "runs" / options.name
    with _only_one(folder):
        _create(options)
        connections = Connections.from_environment()
        replay, store = open_replay(connections, patience_s=_PATIENCE_S), open_store(connections)
        config = RunConfig.of(replay.run(options.name).config)
        _send_leftovers(options.name, replay, stop)
        _close_abandoned(options.name, folder, replay)
        before = summaries.look_before(options.name, replay, store)
        started_s = time.monotonic()
        fleet = LocalFleet(folder, os.environ | _ONE_THREAD)
        session = Session(options.name, replay, Account(fleet))
        session.begin(
            minutes=options.minutes, command=options.command, recipe=options.recipe, code_version=code_version()
        )
        view = View(options.name, options.minutes, DiskRoom(data_dir()) if _alone() else None)
        try:
            for spec in processes(options, config, Collected(replay, options.name)()):
                fleet.start(spec)
            with view:
                _watch(options, config, fleet, Observer(options.name, replay, store, folder), view, stop, session.go_on)
        finally:
            killed = _stop(fleet)
            with suppress(ReplayUnavailable):  # said below, by whoever counts
                session.end(killed=killed)
        with suppress(ReplayUnavailable):
            _send_leftovers(options.name, replay, lambda: False)
        if killed and _alone():
            replay.close_abandoned(options.name)  # what the killed left open; others close their own
        seconds = time.monotonic() - started_s
        found = summaries.summarise(options.name, replay, store, folder, fleet, before, seconds)
        replay.close()
    view.say(summaries.as_text(found))
    for path in (folder / "summary.json", *([options.summary] if options.summary else [])):
        summaries.save(found, path)
    view.say(f"  saved      {folder / 'summary.json'}; curves: tensorboard --logdir {folder / 'tensorboard'}")
    return found


def _stop(fleet: LocalFleet) -> list[str]:
    """Stops everything, patiently; at once when Ctrl-C comes a second time."""
    try:
        return fleet.stop()
    except KeyboardInterrupt:
        return fleet.stop(grace_s=0.0)


def _send_leftovers(run: str, replay: Log, stop: Callable[[], bool]) -> None:
    """What dead workers of this machine have not sent, before their episodes are closed and it would come too late."""
    for outcome in spools.send(replay, spools.look(data_dir(), run), stop):
        log.warning("%s", outcome.text())


def _close_abandoned(run: str, folder: Path, replay: Replay) -> None:
    """Closes what processes of earlier sessions left open, if nobody can be writing: a power cut takes them all."""
    alive = [status for status in read_statuses(folder).values() if "ended" not in status]
    if _alone() and not any(psutil.pid_exists(status["pid"]) for status in alive):
        replay.close_abandoned(run)


def processes(options: RunOptions, config: RunConfig, collected: int) -> Iterator[ProcessSpec]:
    """The children of a run that has collected so many control steps already.

    Names carry the host: several machines may share a run.
    """
    host = socket.gethostname()
    workers = options.workers or max(1, len(os.sched_getaffinity(0)) - 1)
    common = ("--run", options.name)
    for index in range(workers):
        name = f"worker-{index}.{host}"
        place = ("--worker", str(index), "--workers", str(workers))
        yield ProcessSpec(name, ("-m", "agents", "rollout", *common, "--process", name, *place))
    if collected < config.replay.explore_timesteps:
        # The learner has nothing to do yet, so its core explores too.
        name = f"explorer.{host}"
        yield ProcessSpec(name, ("-m", "agents", "explore", *common, "--process", name))
    yield ProcessSpec("learner", ("-m", "agents", "learn", *common))
    if options.evaluator:
        name = f"evaluator.{host}"
        yield ProcessSpec(name, ("-m", "agents", "evaluate", *common, "--process", name), nice=10)


def _watch(
    options: RunOptions,
    config: RunConfig,
    fleet: LocalFleet,
    observer: Observer,
    view: View,
    stop: StopFlag,
    each: Callable[[], None] = lambda: None,
) -> None:
    started_s = answered_since_s = time.monotonic()
    next_look_s = 0.0
    away = False
    while not stop() and not (options.minutes and time.monotonic() - started_s >= 60 * options.minutes):
        now_s = time.monotonic()
        if now_s >= next_look_s:
            next_look_s = now_s + _LOOK_EVERY_S
            try:
                look = observer.look()
                view.show(look, fleet, config.replay.explore_timesteps)
                if options.updates is not None and look.learner.get("updates", 0) >= options.updates:
                    return
                if away:
                    view.say("the services answer again")
                away = False
            except (CheckpointCorrupt, CheckpointMissing) as error:
                log.warning("the newest version can not be told: %s", error)
            except (ReplayUnavailable, CheckpointStoreUnavailable) as error:
                if not away:
                    view.say(f"waiting: {error}")
                away, answered_since_s = True, time.monotonic()
        fleet.tend(0.0 if away else time.monotonic() - answered_since_s)
        each()
        stop.wait(0.5)


def _create(options: RunOptions) -> None:
    """Makes the run in a process of its own, so that this one never loads the simulator."""
    arguments = ["-m", "agents", "create", "--run", options.name, *options.new.arguments()]
    made = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        reason = made.stderr.strip().splitlines()
        raise RunFailed(reason[-1] if reason else f"the run could not be made (status {made.returncode})")


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """One `run` of a name at a time on this machine: two would write under the same worker names."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunFailed(
                f"run {folder.name!r} is running on this machine already; stop it, or choose another --name"
            ) from None
        yield


def _alone() -> bool:
    """Whether the database serves this machine only, so that no worker elsewhere can still be writing."""
    return "mongod" in os.environ.get("LOCAL_SERVICES", "")
