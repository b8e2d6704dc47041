"""What both services share: how a server process is started, watched and stopped."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ServiceFailed(RuntimeError):
    """A service can not be started or does not answer. One sentence for the user, with the likely cause."""


class Service(Protocol):
    """One server on this machine."""

    name: str
    port: int

    def start(self) -> subprocess.Popen[bytes]:
        """Starts the process. Raises: ServiceFailed."""

    def wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Returns when the server can be used, set up for the first time if need be. Raises: ServiceFailed."""


def spawn(arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Starts a server whose output goes to `log`; it gets SIGTERM when its parent dies."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(os.environ | (environment or {})),
            preexec_fn=_end_with_parent,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes], *, grace_s: float = 30.0) -> None:
    """Asks the server to end and waits; kills it when it does not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def refuse_taken_port(service: str, port: int, variable: str) -> None:
    """Raises: ServiceFailed when another program listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServiceFailed(
                f"{service} can not use port {port}: {error.strerror}; stop the program there, or change the port of "
                f"{variable} in .env"
            ) from error


def last_line(log: Path) -> str:
    """The end of a log, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4000))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return "no log was written"
    return lines[-1][:300] if lines else "the log is empty"


def make_folder(path: Path) -> Path:
    """A folder for its owner only. Raises: ServiceFailed."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise ServiceFailed(f"cannot make the folder {path}: {error.strerror}; set DATA_DIR to one that you may write") from error
    return path


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
