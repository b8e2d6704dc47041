"""The folder of one worker's spool: one process at a time, files in the order they were written."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from agents.replay.spool_file import Kind, SpoolFile

_SUFFIX = ".spool"
_REFUSED = ".refused"


class SpoolFolder:
    """Holds the folder's lock until `release`, or until the process is dead."""

    def __init__(self, path: Path) -> None:
        """Makes the folder if there is none. Raises: RuntimeError when another writer holds it."""
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = FileLock(path / "lock", thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RuntimeError(
                f"the spool in {path} is used by another process; needed one process per worker name; likely the "
                "former one has not ended, or two processes run under one worker name"
            ) from None

    def release(self) -> None:
        self._lock.release()

    def leftovers(self) -> Sequence[Path]:
        """Files that former lives left, oldest first."""
        return sorted(self.path.glob(f"*{_SUFFIX}"))

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

    def set_aside(self, path: Path) -> Path:
        """Renames a file that must not be sent, so that a person can look at it; returns its new name."""
        for number in itertools.count():
            aside = path.with_suffix(f".{number}{_REFUSED}")
            if not aside.exists():
                return path.rename(aside)
        raise AssertionError("unreachable")
