"""The few operations on named objects that a checkpoint store is made of: what differs between S3 and memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from mmap import mmap


@dataclass(frozen=True, slots=True)
class StoredObject:
    """The bytes of an object as they were at one moment."""

    data: bytes
    etag: str
    """Changes whenever the bytes do."""


class Objects(ABC):
    """Whole objects in, whole objects out. Each write is atomic and durable when it returns.

    Every operation raises CheckpointStoreUnavailable when the store is away or refuses.
    """

    @abstractmethod
    def put(self, key: str, data: bytes | mmap) -> None:
        """Creates or replaces an object."""

    @abstractmethod
    def get(self, key: str) -> StoredObject | None:
        """None when there is no such object.

        Raises: CheckpointCorrupt when the bytes that arrived are not those that were sent.
        """

    @abstractmethod
    def etag(self, key: str) -> str | None:
        """Of the object as it is now, without its bytes. None when there is no such object."""

    @abstractmethod
    def folders(self, prefix: str) -> Sequence[str]:
        """Sorted names `x` for which objects `<prefix>x/…` exist. `prefix` ends in a slash."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Deletes an object; no error when there is none."""

    @abstractmethod
    def close(self) -> None:
        """Gives back connections."""
