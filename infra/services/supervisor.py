"""`python -m infra.services.supervisor`: keeps the local services running until it gets SIGTERM.

Started by `control.py`, away from the terminal. It holds the lock file while it lives, however it dies, and tells in
the state file how the services are. Its children end with it, even when it is killed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from agents.stopping import StopFlag, stop_on_signals
from infra.services.build import build_services
from infra.services.contract import Service, ServiceFailed
from infra.services.folders import write_json
from infra.services.process import ServiceProcess, start
from infra.settings import Settings, SettingsError

log = logging.getLogger(__name__)

LOCK, STATE = "services.lock", "services.json"
ALREADY_LOCKED = 3
"""Exit status when another supervisor keeps this folder's services."""
_LOOK_EVERY_S = 0.25
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_CALM_S = 60.0
"""A service that lived this long starts again with the shortest pause."""


@dataclass
class Kept:
    """A service and its present life."""

    service: Service
    process: ServiceProcess | None = None
    state: str = "starting"
    started_s: float = 0.0
    restarts: int = 0
    error: str | None = None
    pause_s: float = _FIRST_PAUSE_S
    due_s: float = field(default=0.0)
    """When to start it again, if it is down."""

    def facts(self) -> dict[str, Any]:
        """For the state file."""
        return {
            "state": self.state,
            "port": self.service.port,
            "pid": self.process.pid if self.process else None,
            "restarts": self.restarts,
            "error": self.error,
            "log": str(self.service.log),
        }


class Supervisor:
    """Starts services in order, starts those that die again, stops all of them in reverse order."""

    def __init__(self, services: Sequence[Service], state_file: Path, fingerprint: str) -> None:
        """`fingerprint`: of the settings that the services run with."""
        self._kept = [Kept(service) for service in services]
        self._state_file, self._fingerprint = state_file, fingerprint

    def run(self, stop: StopFlag) -> None:
        """Returns when asked to stop, with all services stopped.

        Raises: ServiceFailed when one can not be started the first time; the others are stopped.
        """
        try:
            for kept in self._kept:
                self.tell(ready=False)
                self._start(kept, stop)
            self.tell(ready=True)
            while not stop.wait(_LOOK_EVERY_S):
                for kept in self._kept:
                    self._tend(kept, stop)
        finally:
            for kept in reversed(self._kept):
                if kept.process is not None and not kept.process.stop():
                    log.warning("%s did not stop in time and was killed", kept.service.name)

    def tell(self, *, ready: bool) -> None:
        """Writes the state file. A disk that is full for a while must not stop the services."""
        services = {kept.service.name: kept.facts() for kept in self._kept}
        try:
            write_state(self._state_file, self._fingerprint, ready=ready, failed=None, services=services)
        except OSError as error:
            log.warning("%s can not be written: %s", self._state_file, error.strerror)

    def _start(self, kept: Kept, stop: StopFlag) -> None:
        kept.process, kept.state, kept.started_s = None, "starting", time.monotonic()
        kept.process = start(kept.service, stop)
        kept.state, kept.error = "up", None
        log.info("%s is up: process %d, port %d", kept.service.name, kept.process.pid, kept.service.port)

    def _tend(self, kept: Kept, stop: StopFlag) -> None:
        if kept.state == "up" and kept.process is not None and not kept.process.alive():
            if time.monotonic() - kept.started_s > _CALM_S:
                kept.pause_s = _FIRST_PAUSE_S
            self._schedule(kept, kept.service.last_words())
        if kept.state == "failed" and time.monotonic() >= kept.due_s:
            kept.restarts += 1
            try:
                self._start(kept, stop)
            except ServiceFailed as error:
                self._schedule(kept, str(error))
            self.tell(ready=True)

    def _schedule(self, kept: Kept, reason: str) -> None:
        kept.state, kept.error, kept.process = "failed", reason, None
        kept.due_s = time.monotonic() + kept.pause_s
        log.warning("%s; %s is started again in %g s", reason, kept.service.name, kept.pause_s)
        kept.pause_s = min(2 * kept.pause_s, _LONGEST_PAUSE_S)
        self.tell(ready=True)


def write_state(path: Path, fingerprint: str, *, ready: bool, failed: str | None, services: dict[str, Any]) -> None:
    """Replaces the state file. `ready`: every service has served; `failed`: why the supervisor gave up."""
    write_json(
        path,
        {"pid": os.getpid(), "settings": fingerprint, "ready": ready, "failed": failed, "services": services},
    )


def main() -> int:
    """Exit status 1, with the reason in the state file, when a service can not be started."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = Settings.read()
    with (settings.folder / LOCK).open("a") as lock:
        if not _take(lock):
            return ALREADY_LOCKED
        if "--detach" in sys.argv and os.fork() != 0:
            # The child keeps the lock, and has nobody who would have to wait for it.
            os._exit(0)
        return _supervise(settings)


def _take(lock: IO[str]) -> bool:
    """Tries for a moment: someone who only asks for the status holds the lock for an instant, too."""
    for _ in range(20):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False


def _supervise(settings: Settings) -> int:
    state_file = settings.folder / STATE
    fingerprint = settings.fingerprint()
    stop = stop_on_signals()
    try:
        Supervisor(build_services(settings), state_file, fingerprint).run(stop)
    except (ServiceFailed, SettingsError) as error:
        if not stop():
            return _give_up(str(error), state_file, fingerprint)
    except OSError as error:
        reason = f"{error.filename or settings.folder} can not be used: {error.strerror}"
        return _give_up(reason, state_file, fingerprint)
    state_file.unlink(missing_ok=True)
    log.info("stopped")
    return 0


def _give_up(reason: str, state_file: Path, fingerprint: str) -> int:
    """Tells why, where `control` looks for it: in the state file, else in the last line of the log."""
    try:
        write_state(state_file, fingerprint, ready=False, failed=reason, services={})
    except OSError as error:
        log.warning("%s can not be written: %s", state_file, error.strerror)
    log.error("%s", reason)
    return 1


if __name__ == "__main__":
    sys.exit(main())
