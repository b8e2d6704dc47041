"""Folders and files of a service, for their owner only."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from infra.services.contract import ServiceFailed

_LOG_LIMIT_BYTES = 50_000_000


def private_folder(path: Path) -> Path:
    """Makes the folder, closed to other users.

    Raises: ServiceFailed.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise ServiceFailed(
            f"the folder {path} can not be made or is another user's ({error.strerror}); set DATA_DIR to one that you "
            "may write"
        ) from error
    return path


def prepare_log(log: Path) -> None:
    """Makes the log's folder, and sets a long log aside: one old log is kept, so they can not fill the disk.

    Raises: ServiceFailed.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".old.log"))
    except OSError as error:
        raise ServiceFailed(
            f"the log {log} can not be written ({error.strerror}); set DATA_DIR to a folder that you may write"
        ) from error


def last_line(log: Path) -> str:
    """The end of a log, for an error message."""
    if not log.exists():
        return "(no log was written)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4000))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "(the log is empty)"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replaces the file as a whole."""
    descriptor, temporary = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
