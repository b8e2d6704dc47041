"""What one `python -m infra run` notes of itself in the run's events: how it was started, and what it uses.

Wall-clock and core-hours of a run are read from these (`infra/report/timeline.py`), however often it was interrupted.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from agents.replay.contract import Replay, ReplayUnavailable
from infra.bench.machine import machine
from infra.fleet.local import LocalFleet, processor_s
from infra.services.control import service_status
from infra.settings import Settings

log = logging.getLogger(__name__)

STARTED, STOPPED, USED = "run_started", "run_stopped", "processor_time"
"""Kinds of events. `USED` holds the processor seconds of the session so far, by process."""
PROCESS = "run"
_NOTE_EVERY_S = 60.0
"""What a session uses: so much of it is lost when it is killed."""


def local_services() -> dict[str, int]:
    """Process ids of the services that run here, by name."""
    found = service_status(Settings.read())
    return {name: facts["pid"] for name, facts in found.items() if facts["local"] and facts["pid"] is not None}


class Account:
    """Processor seconds that a session has used, by process: its children, this one, and the local services since it
    began (all that they did, also for others)."""

    def __init__(self, fleet: LocalFleet, services: Callable[[], Mapping[str, int]] = local_services) -> None:
        self._fleet, self._services = fleet, services
        self._own_s = time.process_time()
        # A service's life before this session is not ours; of one that starts later all is.
        self._first_s = {life: processor_s(life[1]) for life in services().items()}
        self._last_s = dict(self._first_s)

    def __call__(self) -> dict[str, float]:
        """By the names of the processes, without the host that workers carry in theirs. A service that was restarted
        keeps what its last life had used when it was last asked about."""
        for life in self._services().items():
            self._last_s[life] = max(processor_s(life[1]), self._last_s.get(life, 0.0))
        used = {name.partition(".")[0]: child.processor_s for name, child in self._fleet.children.items()}
        used[PROCESS] = time.process_time() - self._own_s
        for life, last_s in self._last_s.items():
            used[life[0]] = used.get(life[0], 0.0) + last_s - self._first_s.get(life, 0.0)
        return used


class Session:
    """The notes of one session. Those in the middle are left out while the database is away."""

    def __init__(self, run: str, replay: Replay, account: Callable[[], Mapping[str, float]]) -> None:
        self._run, self._replay, self._account = run, replay, account
        self._id = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._next_s = 0.0

    def begin(self, **facts: Any) -> None:
        """Raises: ReplayUnavailable."""
        here = machine()
        place = {"host": socket.gethostname(), "processor": here["processor"], "cores": len(os.sched_getaffinity(0))}
        self._note(STARTED, **facts, **place)
        self._next_s = time.monotonic() + _NOTE_EVERY_S

    def go_on(self) -> None:
        """Notes what was used so far, once a minute."""
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _NOTE_EVERY_S
            with suppress(ReplayUnavailable):  # the next note tells all
                self._note(USED, seconds=dict(self._account()))

    def end(self, **facts: Any) -> None:
        """Raises: ReplayUnavailable."""
        self._note(USED, seconds=dict(self._account()))
        self._note(STOPPED, **facts)

    def _note(self, kind: str, **details: Any) -> None:
        self._replay.event(self._run, PROCESS, kind, session=self._id, **details)
