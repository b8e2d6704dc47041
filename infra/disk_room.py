"""How much room the disk of a machine's own services has left, and for how long that will do."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

_SETTLED_S = 120.0
"""A database begins by making room for itself; before this much time its pace says nothing."""
_SOON_S = 3600.0
_LEAST_BYTES = 5e9
_GB = 1e9


class DiskRoom:
    """Looks at one disk, from now on."""

    def __init__(
        self,
        folder: Path,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`folder` exists."""
        self._folder, self._free_bytes, self._clock_s = folder, free_bytes, clock_s
        self._began_s, self._free_at_first = clock_s(), free_bytes(folder)
        self._warned = False

    def text(self) -> str:
        """What is free, and when it will be gone if all goes on as it did since the start."""
        free = self._free_bytes(self._folder)
        left_s = self._left_s(free)
        return f"{free / _GB:.0f} GB free" + ("" if left_s is None else f", full in {_duration(left_s)}")

    def warning(self) -> str | None:
        """A sentence when it is nearly full; once, until there is room again."""
        free = self._free_bytes(self._folder)
        left_s = self._left_s(free)
        near = free < _LEAST_BYTES or (left_s is not None and left_s < _SOON_S)
        told, self._warned = self._warned, near
        if told or not near:
            return None
        pace = "" if left_s is None else f" and will be full in {_duration(left_s)}"
        return (
            f"the disk of {self._folder} has {free / _GB:.1f} GB left{pace}; free some space, stop and choose another "
            "DATA_DIR, or `python -m agents replay prune` what is not needed (evaluation.every_versions writes less)"
        )

    def _left_s(self, free: int) -> float | None:
        """Until nothing is free; None when nobody can tell, or it does not get less."""
        passed_s, used = self._clock_s() - self._began_s, self._free_at_first - free
        return free * passed_s / used if passed_s >= _SETTLED_S and used > 0 else None


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.0f} h"
