"""Start, look at and stop the local services, from any process of this machine."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agents.connections import ROOT
from infra.services.process import ServiceFailed, last_line, make_folder
from infra.services.supervisor import LOCK, STATE
from infra.settings import SERVICES, Settings

__all__ = ["ServiceFailed", "down", "ensure_up", "service_status"]

_START_S, _STOP_S = 120.0, 90.0


def ensure_up(settings: Settings) -> bool:
    """Returns when every local service answers; True if this call started them.

    Raises: ServiceFailed with one sentence when one can not be started.
    """
    if not settings.local or _supervisor_lives(settings.folder):
        if settings.local:
            _wait_ready(settings, None)
        return False
    make_folder(settings.folder)
    log_path = settings.folder / "logs" / "services.log"
    log_path.parent.mkdir(exist_ok=True)
    (settings.folder / STATE).unlink(missing_ok=True)
    with log_path.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.services.supervisor"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=ROOT,
        )
    _wait_ready(settings, process)
    return True


def down(settings: Settings) -> bool:
    """Stops the local services, data written out; False when none were running. Raises: ServiceFailed."""
    if not _supervisor_lives(settings.folder):
        return False
    state = _state(settings.folder)
    if "pid" not in state:
        raise ServiceFailed("the services are just starting; try again when they are up")
    os.kill(int(state["pid"]), signal.SIGTERM)
    deadline_s = time.monotonic() + _STOP_S
    while _supervisor_lives(settings.folder):
        if time.monotonic() > deadline_s:
            raise ServiceFailed(f"the services did not stop within {_STOP_S:g} s; see {settings.folder / 'logs' / 'services.log'}")
        time.sleep(0.1)
    return True


def service_status(settings: Settings) -> dict[str, dict[str, Any]]:
    """For each service: `up` (its port answers), `local` (ours to start), `port` and, if we run it, `pid`."""
    running = _state(settings.folder).get("services", {}) if _supervisor_lives(settings.folder) else {}
    found = {}
    for name in SERVICES:
        local = name in settings.local
        host, port = _address(name)
        up = local and name in running and _answers(host, port) if local else bool(os.environ.get(_VARIABLE[name]))
        found[name] = {"up": up, "local": local, "port": port} | {"pid": entry["pid"] for entry in [running.get(name)] if entry}
    return found


_VARIABLE = {"mongod": "MONGODB_URI", "s3": "S3_BUCKET"}


def _address(service: str) -> tuple[str, int | None]:
    parts = urlsplit(os.environ.get("MONGODB_URI" if service == "mongod" else "AWS_ENDPOINT_URL_S3", ""))
    try:
        return parts.hostname or "", parts.port
    except ValueError:  # several hosts in one URI
        return "", None


def _answers(host: str, port: int | None) -> bool:
    if port is None:
        return False
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def _wait_ready(settings: Settings, process: subprocess.Popen[bytes] | None) -> None:
    deadline_s = time.monotonic() + _START_S
    log_path = settings.folder / "logs" / "services.log"
    while True:
        state = _state(settings.folder)
        if state.get("ready"):
            return
        if "failed" in state:
            raise ServiceFailed(state["failed"])
        if process is not None and process.poll() is not None:
            raise ServiceFailed(f"the services ended with status {process.returncode}: {last_line(log_path)}")
        if time.monotonic() > deadline_s:
            raise ServiceFailed(f"the services were not ready within {_START_S:g} s; see {log_path}")
        time.sleep(0.05)


def _state(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / STATE).read_text())
    except FileNotFoundError:
        return {}
    return found


def _supervisor_lives(folder: Path) -> bool:
    """The supervisor holds the lock for as long as it lives, however it dies."""
    try:
        with (folder / LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
