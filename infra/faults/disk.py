"""A small disk that really becomes full: in a mount namespace of its own, so that no other program notices.

`/proc/PID/root` leads into the namespace of a process: files there can be used by programs that do not live in it.
Where no namespace can be made, the kernel's limit on the size of a process's files stands in.
"""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

_NAMESPACES = (
    ("a tmpfs in a user's mount namespace", ("unshare", "--user", "--map-root-user", "--mount")),
    ("a tmpfs in root's mount namespace", ("unshare", "--mount")),
)
# `cat` holds the namespace until its input is closed, which also happens when we die.
_HOLD = 'mount -t tmpfs -o "size=$1,mode=700" tmpfs "$2" && echo mounted && exec cat'


class Disk(Protocol):
    """Where a program's files lie."""

    folder: Path
    kind: str
    """How it is limited, for the reader of the table."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def fill(self, pid: int, leave_bytes: int) -> None:
        """From now on process `pid` can write some `leave_bytes` more."""

    def make_room(self) -> None:
        """Takes away what fills it; for a process that starts after this."""


class TmpfsDisk:
    """A `Disk` of `size_bytes` in memory."""

    def __init__(self, holder: subprocess.Popen[str], kind: str, place: Path) -> None:
        self._holder, self.kind = holder, kind
        self.folder = Path(f"/proc/{holder.pid}/root{place}")
        self._ballast = self.folder / "ballast"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end(self._holder)

    def fill(self, pid: int, leave_bytes: int) -> None:
        held = 0
        with self._ballast.open("wb") as file:
            while (room := self._free_bytes() - leave_bytes) > 0:
                try:
                    os.posix_fallocate(file.fileno(), held, room)
                except OSError as error:
                    # The process took some of it at this moment (mongod takes 100 MB of journal at once): measure anew.
                    if error.errno != errno.ENOSPC:
                        raise
                else:
                    held += room

    def _free_bytes(self) -> int:
        space = os.statvfs(self.folder)
        return space.f_bavail * space.f_frsize

    def make_room(self) -> None:
        self._ballast.unlink()


class FileSizeLimit:
    """A `Disk` on which no file of one process may grow beyond a limit, where no small disk can be had."""

    kind = "RLIMIT_FSIZE of the process"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The limit ends with its process."""

    def fill(self, pid: int, leave_bytes: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (leave_bytes, leave_bytes))

    def make_room(self) -> None:
        """A new process has no limit."""


def small_disk(place: Path, size_bytes: int, *, namespaces: bool = True) -> Disk:
    """A disk at `place`, seen through `folder`; the first kind that this machine allows."""
    place.mkdir(parents=True)
    for kind, command in _NAMESPACES if namespaces else ():
        holder = _hold((*command, "sh", "-c", _HOLD, "hold", str(size_bytes), str(place)))
        if holder is not None:
            return TmpfsDisk(holder, kind, place)
    return FileSizeLimit(place / "limited")


def _hold(command: tuple[str, ...]) -> subprocess.Popen[str] | None:
    """The process in whose namespace the disk is; None when it is not allowed."""
    try:
        holder = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
    except FileNotFoundError:
        return None
    assert holder.stdout is not None
    if holder.stdout.readline() == "mounted\n":
        return holder
    end(holder)
    return None


def end(holder: subprocess.Popen[str]) -> None:
    """Lets a holder go, and with it the disk, as soon as no program uses it."""
    for pipe in (holder.stdin, holder.stdout):
        if pipe is not None:
            pipe.close()
    holder.wait()
