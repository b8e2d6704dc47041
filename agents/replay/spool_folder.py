"""The folder of one worker's spool: one process at a time, files in the order they were written."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from agents.replay.spool_file import Kind, SpoolFile

_SUFFIX = ".spool"
_REFUSED = ".refused"
_WHY = ".txt"
_PATIENCE_S = 0.5
"""Whoever asks whether a folder is in use holds it for a moment."""


class SpoolInUse(RuntimeError):
    """Another process uses the folder."""


class SpoolFolder:
    """Holds the folder's lock until `release`, or until the process is dead."""

    def __init__(self, path: Path) -> None:
        """Makes the folder if there is none. Raises: SpoolInUse."""
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _lock_of(path)
        try:
            self._lock.acquire(timeout=_PATIENCE_S)
        except Timeout:
            raise SpoolInUse(
                f"the spool in {path} is used by another process; needed one process per worker name; likely the "
                "former one has not ended, two processes run under one worker name, or `replay spool --send` is at it"
            ) from None

    def release(self) -> None:
        self._lock.release()

    def leftovers(self) -> Sequence[Path]:
        """Files that former lives left, oldest first."""
        return leftovers_in(self.path)

    def new_file(self, writer: int, number: int, life: bytes) -> SpoolFile:
        """A writer's `number`-th file, which begins with who writes. Raises: OSError."""
        file = SpoolFile(self.path / f"{writer:07d}-{number:07d}{_SUFFIX}", create=True)
        try:
            file.append(Kind.LIFE, life)
        except BaseException:
            file.delete()
            raise
        file.first = file.end
        return file

    def set_aside(self, path: Path, reason: str) -> Path:
        """Renames a file that must not be sent, so that a person can look at it; returns its new name."""
        for number in itertools.count():
            aside = path.with_suffix(f".{number}{_REFUSED}")
            if not aside.exists():
                path.rename(aside)
                # After the rename: on a full disk it is the reason that is missing.
                _why(aside).write_text(reason)
                return aside
        raise AssertionError("unreachable")


def leftovers_in(folder: Path) -> Sequence[Path]:
    """The spool's files, oldest first."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


def refused_in(folder: Path) -> Sequence[tuple[Path, str]]:
    """Files that `set_aside` keeps, and why."""
    found = sorted(folder.glob(f"*{_REFUSED}"))
    return [(path, _why(path).read_text() if _why(path).exists() else "the reason was not kept") for path in found]


def is_in_use(folder: Path) -> bool:
    """Whether a living process holds the folder."""
    if not (folder / "lock").exists():
        return False
    lock = _lock_of(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _lock_of(folder: Path) -> FileLock:
    return FileLock(folder / "lock", thread_local=False)


def _why(refused: Path) -> Path:
    return refused.with_name(refused.name + _WHY)
