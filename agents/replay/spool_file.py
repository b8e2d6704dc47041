"""The spool's files: records one after the other, each with its length and checksum.

A record that was not written to its end is told from a whole one, and is never read. What was written survives the
death of the process; a power cut may take the last seconds, which the operating system had not put on the disk.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

_HEAD = struct.Struct("<IIB")
"""Bytes of the payload, checksum of kind and payload, kind."""
HEAD_BYTES = _HEAD.size
_READ_BYTES = 4 << 20

Payload = bytes | memoryview


class Kind(IntEnum):
    """What a record holds."""

    LIFE = 1
    """Who writes; the first record of every file."""
    OPEN = 2
    TIMESTEPS = 3
    TIMESTEPS_AGAIN = 4
    """Some may have been written before: the writer was interrupted."""
    TRUNCATED = 5
    EPISODE = 6
    EVENT = 7
    REFUSED = 8


class Record(NamedTuple):
    kind: Kind
    payload: memoryview
    end: int
    """Where the next one starts in the file."""


class SpoolFile:
    """One file of a spool, appended to and read by offset. Only `append` and `reset` need the caller's lock."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Raises: OSError."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | (os.O_CREAT | os.O_EXCL if create else 0), 0o600)
        self.end = os.fstat(self._descriptor).st_size
        """Where the next record will start."""
        self.first = 0
        """Where the first one lies that is not about the file itself."""

    def append(self, kind: Kind, payload: Payload) -> None:
        """Writes a record behind the last one, or nothing. Raises: OSError."""
        size = len(payload)
        head = _HEAD.pack(size, _checksum(kind, payload), kind)
        # By offset, and the end moves last: whatever interrupts this, the next record takes the same place.
        written = os.pwritev(self._descriptor, [head, payload], self.end)
        if written != HEAD_BYTES + size:
            os.ftruncate(self._descriptor, self.end)
            raise OSError(f"{self.path}: {written} of {HEAD_BYTES + size} bytes written; likely the disk is full")
        self.end += written

    def reset(self, end: int) -> None:
        """Drops all records from `end` on."""
        os.ftruncate(self._descriptor, end)
        self.end = end

    def records(self, start: int, end: int) -> Iterator[Record]:
        """The whole records in start..end, up to the first that is damaged or cut off."""
        while start < end:
            data = memoryview(os.pread(self._descriptor, min(_READ_BYTES, end - start), start))
            if len(data) >= HEAD_BYTES and HEAD_BYTES + _HEAD.unpack_from(data)[0] > len(data):
                data = memoryview(os.pread(self._descriptor, HEAD_BYTES + _HEAD.unpack_from(data)[0], start))
            before = start
            for kind, payload in _whole_records(data):
                start += HEAD_BYTES + len(payload)
                yield Record(kind, payload, start)
            if start == before:
                return

    def is_cut_off(self, start: int) -> bool:
        """Whether what lies at `start` is the beginning of one record, and not a whole damaged one."""
        head = os.pread(self._descriptor, HEAD_BYTES, start)
        return len(head) < HEAD_BYTES or start + HEAD_BYTES + int(_HEAD.unpack(head)[0]) > self.end

    def close(self) -> None:
        os.close(self._descriptor)

    def delete(self) -> None:
        self.path.unlink()
        self.close()


def _whole_records(data: memoryview) -> Iterator[tuple[Kind, memoryview]]:
    start = 0
    while start + HEAD_BYTES <= len(data):
        size, checksum, kind = _HEAD.unpack_from(data, start)
        payload = data[start + HEAD_BYTES : start + HEAD_BYTES + size]
        if len(payload) < size or _checksum(kind, payload) != checksum:
            return
        yield Kind(kind), payload
        start += HEAD_BYTES + size


def _checksum(kind: int, payload: Payload) -> int:
    return zlib.crc32(payload, kind)
