"""Checkpoints in this process's memory: for tests and one-process runs. Gone when the process is."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from mmap import mmap

from agents.checkpoints.objects import Objects, StoredObject
from agents.checkpoints.store import VersionedCheckpoints


class MemoryCheckpoints(VersionedCheckpoints):
    """Implements `CheckpointStore`. Safe to share between threads."""

    def __init__(self, prefix: str = "runs") -> None:
        super().__init__(MemoryObjects(), prefix)


class MemoryObjects(Objects):
    """Objects in a dictionary."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, StoredObject] = {}

    def put(self, key: str, data: bytes | mmap) -> None:
        stored = StoredObject(bytes(data), hashlib.sha256(data).hexdigest())
        with self._lock:
            self._objects[key] = stored

    def get(self, key: str) -> StoredObject | None:
        with self._lock:
            return self._objects.get(key)

    def etag(self, key: str) -> str | None:
        stored = self.get(key)
        return None if stored is None else stored.etag

    def folders(self, prefix: str) -> Sequence[str]:
        with self._lock:
            below = [key.removeprefix(prefix) for key in self._objects if key.startswith(prefix)]
        return sorted({key.partition("/")[0] for key in below if "/" in key})

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(key, None)

    def close(self) -> None:
        """Nothing to give back."""
