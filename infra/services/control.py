"""Start, look at and stop the local services, from any process of this machine. What `python -m infra` calls."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from agents.connections import ROOT
from agents.stopping import SUPERVISED
from infra.services.contract import ServiceFailed
from infra.services.folders import last_line, prepare_log
from infra.services.supervisor import ALREADY_LOCKED, LOCK, STATE
from infra.settings import VARIABLE_OF, Settings

__all__ = ["ServiceFailed", "down", "ensure_up", "keep_up", "service_status", "services_for_a_run"]

_USERS = "services.users"
_START_S, _STOP_S = 150.0, 90.0
_ENDPOINT_OF = {"mongod": "MONGODB_URI", "s3": "AWS_ENDPOINT_URL_S3"}


def ensure_up(settings: Settings) -> bool:
    """Returns when every local service serves authenticated clients. They outlive this process.

    Returns: whether this call started them; then whoever wants to leave nothing behind calls `down`.
    Raises: ServiceFailed.
    """
    if not settings.local:
        return False
    log = settings.folder / "logs" / "services.log"
    prepare_log(log)
    with _one_starter(settings.folder):
        started_here = not _supervisor_lives(settings.folder)
        if started_here:
            (settings.folder / STATE).unlink(missing_ok=True)
            started_here = _launch(settings, log)
        _wait_ready(settings, log)
    return started_here


@contextmanager
def services_for_a_run(settings: Settings) -> Iterator[None]:
    """Services that are up inside the block, and stopped after it if a run started them and no other run uses them.

    Services that `up` started stay. Raises: ServiceFailed.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    with (settings.folder / _USERS).open("a+") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        if ensure_up(settings):
            users.write("started by a run\n")
            users.flush()
        try:
            yield
        finally:
            _stop_if_last(users, settings)


def keep_up(settings: Settings) -> None:
    """From now on the services stay until `down`, even if a run started them."""
    (settings.folder / _USERS).unlink(missing_ok=True)


def _stop_if_last(users: TextIO, settings: Settings) -> None:
    """The file says whether a run started the services; its lock is shared by the runs that use them."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    users.seek(0)
    if users.read() and (settings.folder / _USERS).exists():
        users.truncate(0)
        down(settings)


def down(settings: Settings) -> bool:
    """Stops the local services, data written out. Returns whether any were running.

    Raises: ServiceFailed when they do not stop.
    """
    asked = None
    deadline_s = time.monotonic() + _STOP_S
    while _supervisor_lives(settings.folder):
        # A supervisor that has just started has not told its process id yet.
        pid = _state(settings.folder).get("pid")
        if pid is not None and pid != asked:
            _signal(pid, signal.SIGTERM)
            asked = pid
        if time.monotonic() > deadline_s:
            raise ServiceFailed(
                f"the services (process {pid}) did not stop within {_STOP_S:g} s; see {settings.folder / 'logs'}"
            )
        time.sleep(0.05)
    return asked is not None


def service_status(settings: Settings) -> dict[str, dict[str, Any]]:
    """How each service is, local or not.

    Of every service: `up` (something answers at its address; AWS and clusters count as up when they are named), `local`
    (ours to start), `port` and `pid` (None where unknown). Of a local one that is kept also `state` (`up`, `starting`,
    `failed`), `restarts`, `error` (why it failed, else None) and `log`.
    """
    kept = _state(settings.folder).get("services", {}) if _supervisor_lives(settings.folder) else {}
    found: dict[str, dict[str, Any]] = {}
    for name, variable in VARIABLE_OF.items():
        host, port = _address(settings.values.get(_ENDPOINT_OF[name], ""))
        local = name in settings.local
        facts: dict[str, Any] = {"up": False, "local": local, "port": port, "pid": None}
        if local:
            facts |= kept.get(name, {})
            facts["up"] = facts.get("state") == "up" and _answers(host, port)
        elif variable in settings.values:
            facts["up"] = port is None or _answers(host, port)
        found[name] = facts
    return found


def _launch(settings: Settings, log: Path) -> bool:
    """Starts the supervisor; False when another process did in the meantime. Raises: ServiceFailed."""
    environment = dict(os.environ)
    settings.apply(environment)
    environment["ENV_FILE"] = str(settings.env_file)
    # It does not belong to the processes of a run, and outlives them.
    environment.pop(SUPERVISED, None)
    with log.open("ab") as output:
        launched = subprocess.run(
            [sys.executable, "-m", "infra.services.supervisor", "--detach"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=ROOT,
            start_new_session=True,
            check=False,
        )
    if launched.returncode not in (0, ALREADY_LOCKED):
        raise ServiceFailed(f"the services could not be started: {last_line(log)} (in {log})")
    return launched.returncode == 0


def _wait_ready(settings: Settings, log: Path) -> None:
    deadline_s = time.monotonic() + _START_S
    while True:
        lives = _supervisor_lives(settings.folder)
        state = _state(settings.folder)
        if state.get("failed"):
            raise ServiceFailed(state["failed"])
        if not lives:
            raise ServiceFailed(f"the services ended while they were starting: {last_line(log)} (in {log})")
        if state and state["settings"] != settings.fingerprint():
            raise ServiceFailed(
                "the services run with other settings than .env and the environment have now; stop them with "
                "`python -m infra down` and start them again"
            )
        services = state.get("services", {}).values()
        if state.get("ready") and all(service["state"] == "up" for service in services):
            return
        if time.monotonic() > deadline_s:
            reasons = [service["error"] for service in services if service["error"]]
            raise ServiceFailed(
                f"the services were not ready within {_START_S:g} s: {reasons[0] if reasons else last_line(log)}"
            )
        time.sleep(0.05)


@contextmanager
def _one_starter(folder: Path) -> Iterator[None]:
    with (folder / "services.start").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _supervisor_lives(folder: Path) -> bool:
    """Whether the lock is held: it is for as long as the supervisor lives, and no longer."""
    try:
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _state(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / STATE).read_text())
    except FileNotFoundError:
        return {}
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _address(url: str) -> tuple[str, int | None]:
    """Host and port of a URL; no port when there is none, or several hosts."""
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port
    except ValueError:
        return "", None


def _answers(host: str, port: int | None) -> bool:
    if port is None:
        return False
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False
