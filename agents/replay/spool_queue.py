"""The files of one life of a worker: records are appended to the last, and sent from the first."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from agents.replay.spool_file import HEAD_BYTES, Kind, Payload, SpoolFile
from agents.replay.spool_folder import SpoolFolder


class Part(NamedTuple):
    """Records to send."""

    file: SpoolFile
    start: int
    end: int
    is_newest: bool
    """Whether nothing that was appended lies behind them."""


class SpoolQueue:
    """For a caller who holds a lock around every call."""

    def __init__(self, folder: SpoolFolder, writer: int, life: bytes, *, file_bytes: int) -> None:
        """`life` says who writes; a file takes records up to `file_bytes`, or one larger record."""
        self._folder, self._writer, self._life, self._file_bytes = folder, writer, life, file_bytes
        self._files: deque[SpoolFile] = deque()
        self._made = 0
        self._sent = 0
        """Offset in the first file up to which the store has it."""

    @property
    def all_sent(self) -> bool:
        return not self._files or (len(self._files) == 1 and self._sent == self._files[0].end)

    @property
    def bytes(self) -> int:
        """On the disk."""
        return sum(file.end for file in self._files)

    def append(self, kind: Kind, payload: Payload) -> None:
        """Writes a record, or nothing. Raises: OSError."""
        self._file_for(HEAD_BYTES + len(payload)).append(kind, payload)

    def _file_for(self, size: int) -> SpoolFile:
        if not self._files or (
            self._files[-1].end + size > self._file_bytes and self._files[-1].end > self._files[-1].first
        ):
            file = self._folder.new_file(self._writer, self._made, self._life)
            self._made += 1
            if not self._files:
                self._sent = file.first
            self._files.append(file)
        return self._files[-1]

    def next(self) -> Part:
        """What the store lacks of the first file."""
        file = self._files[0]
        return Part(file, self._sent, file.end, len(self._files) == 1)

    def mark_sent(self, end: int) -> None:
        """The store has the first file up to `end`; a file that it has all of goes."""
        self._sent = end
        file = self._files[0]
        if end < file.end:
            return
        if len(self._files) == 1:
            file.reset(file.first)
        else:
            self._files.popleft()
            file.delete()
        self._sent = self._files[0].first

    def set_aside(self, reason: str) -> None:
        """Keeps all files for a person to look at."""
        for file in self._files:
            self._folder.set_aside(file.path, reason)

    def close(self) -> None:
        """Leaves the files in the folder, if the store lacks anything of them."""
        end = SpoolFile.delete if self.all_sent else SpoolFile.close
        for file in self._files:
            end(file)
        self._files.clear()
