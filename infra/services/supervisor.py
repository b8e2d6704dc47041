"""`python -m infra.services.supervisor`: keeps the local services running until it gets SIGTERM.

Started by `infra.services.control` as a process of its own. The lock file tells that it lives, the state file how the
services are; both lie in the data folder.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.stopping import StopFlag, stop_on_signals
from infra.services.mongod import Mongod
from infra.services.process import Service, ServiceFailed, stop
from infra.services.s3 import S3Server
from infra.settings import Settings

log = logging.getLogger(__name__)

LOCK, STATE = "services.lock", "services.json"
_LONGEST_PAUSE_S = 30.0
_CALM_S = 60.0


def build_services(settings: Settings) -> list[Service]:
    """The services that are to run here, in the order of their start."""
    services: list[Service] = []
    if "mongod" in settings.local:
        services.append(Mongod(settings.folder / "mongod", os.environ["MONGODB_URI"]))
    if "s3" in settings.local:
        keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        services.append(S3Server(settings.folder / "s3", settings.s3_port, *keys))
    return services


@dataclass
class Kept:
    """A service and its present process."""

    service: Service
    process: subprocess.Popen[bytes]
    started_s: float
    pause_s: float = 1.0


class Supervisor:
    """Starts services, restarts those that die, stops all of them in reverse order."""

    def __init__(self, services: list[Service], state: Path) -> None:
        self._services, self._state = services, state
        self._kept: list[Kept] = []

    def run(self, asked_to_stop: StopFlag) -> None:
        """Returns when asked to stop. Raises: ServiceFailed when a service can not be started the first time."""
        try:
            for service in self._services:
                process = service.start()
                self._kept.append(Kept(service, process, time.monotonic()))
                service.wait_ready(process)
            self._tell(ready=True)
            while not asked_to_stop.wait(0.5):
                for kept in self._kept:
                    if kept.process.poll() is not None:
                        self._restart(kept, asked_to_stop)
        finally:
            for kept in reversed(self._kept):
                stop(kept.process)

    def _restart(self, kept: Kept, asked_to_stop: StopFlag) -> None:
        status, name = kept.process.returncode, kept.service.name
        if time.monotonic() - kept.started_s > _CALM_S:
            kept.pause_s = 1.0
        log.warning("%s ended with status %d, next start in %g s", name, status, kept.pause_s)
        if asked_to_stop.wait(kept.pause_s):
            return
        kept.pause_s = min(2 * kept.pause_s, _LONGEST_PAUSE_S)
        kept.started_s = time.monotonic()
        try:
            kept.process = kept.service.start()
            kept.service.wait_ready(kept.process)
        except ServiceFailed as error:  # tried again at the next look, after a longer pause
            log.warning("%s", error)
        self._tell(ready=True)

    def _tell(self, *, ready: bool) -> None:
        services = {kept.service.name: {"pid": kept.process.pid, "port": kept.service.port} for kept in self._kept}
        write_state(self._state, {"ready": ready, "pid": os.getpid(), "services": services})


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Replaces the state file as a whole."""
    staged = path.with_suffix(f".{os.getpid()}")
    staged.write_text(json.dumps(state))
    staged.replace(path)


def main() -> int:
    """Exit status 1, with the reason in the state file, when a service can not be started."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = Settings.load()
    state = settings.folder / STATE
    with (settings.folder / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another supervisor keeps these services")
            return 0
        state.unlink(missing_ok=True)
        try:
            Supervisor(build_services(settings), state).run(stop_on_signals())
        except ServiceFailed as error:
            log.error("%s", error)
            write_state(state, {"ready": False, "failed": str(error)})
            return 1
        state.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
