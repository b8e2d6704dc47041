"""The heap in pages of 2 MiB: what an update reads and writes is found without walking a table of 4 KiB pages.

An update streams through tens of megabytes of parameters, moments and activations. The system gives huge pages where it
is asked for them ("transparent huge pages", `madvise` in the kernel's documentation); numpy asks for its large arrays,
glibc and torch do not. Other systems and allocators are left as they are.
"""

from __future__ import annotations

import ctypes
import mmap
from functools import cache
from pathlib import Path

from agents.replay.freed_memory import keep_freed_memory

_ROOM_BYTES = 240 << 20
"""Address space that the heap grows by at once; memory it becomes only as it is used. Below what is kept when free."""
_PIECE_BYTES = 16 << 20
"""Small enough to come out of the heap."""
_PAGE_BYTES = 2 << 20
_MADV_COLLAPSE = 25
"""Brings together at once what is there in small pages already (Linux 6.1; refused by older ones)."""


@cache
def use_huge_pages() -> bool:
    """From now on, in the whole process, for what comes out of the heap; returns whether the system was told so.

    To be called before networks are made. Freed memory is kept from then on too.
    """
    if not keep_freed_memory() or not hasattr(mmap, "MADV_HUGEPAGE"):
        return False
    system = ctypes.CDLL(None)
    system.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    here = _heap()
    if here is None:
        return False
    _grow(system)
    grown = _heap() or here
    told = _advise(system, *grown, mmap.MADV_HUGEPAGE)
    _advise(system, *here, _MADV_COLLAPSE)
    return told


def _heap() -> tuple[int, int] | None:
    """First and last address of the heap; None where the system does not tell."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return None
    # Parts with and without huge pages are lines of their own.
    parts = [line.split()[0].split("-") for line in lines if line.endswith("[heap]")]
    return (int(parts[0][0], 16), int(parts[-1][1], 16)) if parts else None


def _grow(system: ctypes.CDLL) -> None:
    """Takes room at the heap's end and gives it back: it stays the heap's, as `keep_freed_memory` has said."""
    system.malloc.restype, system.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    system.free.argtypes = [ctypes.c_void_p]
    for piece in [system.malloc(_PIECE_BYTES) for _ in range(_ROOM_BYTES // _PIECE_BYTES)]:
        system.free(piece)


def _advise(system: ctypes.CDLL, first: int, last: int, advice: int) -> bool:
    """For all whole huge pages between two addresses; returns whether the system took it."""
    begin, end = -(-first // _PAGE_BYTES) * _PAGE_BYTES, last // _PAGE_BYTES * _PAGE_BYTES
    return end > begin and system.madvise(begin, end - begin, advice) == 0
