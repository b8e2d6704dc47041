"""What one life of a worker has got to, in a file that both processes map: it outlives a SIGKILL of the writer.

A life writes its episodes and their steps in order, so one timestep id says which came before it.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

import numpy as np


class Mark(IntEnum):
    """The numbers in the file."""

    WRITER = 0
    """Its number; 0 before it has one."""
    TRYING = 1
    """Id of the newest timestep that it began to hand over."""
    HANDED = 2
    """Id of the newest one that the writer has taken."""
    ACKNOWLEDGED = 3
    """Id of the newest one of which it was told that the database has it, and all before."""
    STOP = 4
    """Set by the parent: end with the episode under way."""


class Marks:
    """Reading and setting them; each is one aligned 64-bit word, which is never seen half-written."""

    def __init__(self, path: Path) -> None:
        """Makes the file when there is none."""
        self._numbers = np.memmap(path, np.int64, "r+" if path.exists() else "w+", shape=(len(Mark),))

    def __getitem__(self, mark: Mark) -> int:
        return int(self._numbers[mark])

    def __setitem__(self, mark: Mark, value: int) -> None:
        self._numbers[mark] = value
