"""The few operations on four collections that a replay log is made of: what differs between MongoDB and memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.replay.codec import Rows
from agents.replay.documents import Document


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a worker."""

    writer: int
    worker: str
    open_episode: Mapping[str, Any] | None
    """Id and start of the newest episode that has timesteps, as noted by `note_open`."""


class Storage(ABC):
    """Documents in, documents out. Writes return when they are durable, and wait while the store is away."""

    waited_s: float = 0.0
    """Seconds that callers have waited because the store was away."""

    @abstractmethod
    def insert_run(self, document: Document) -> bool:
        """False when a run of that name exists; it is left as it is."""

    @abstractmethod
    def run_document(self, name: str) -> Mapping[str, Any] | None: ...

    @abstractmethod
    def run_names(self) -> Sequence[str]: ...

    @abstractmethod
    def claim_writer(self, run: str, worker: str) -> int:
        """A number no writer of any run has had, noted as an event `worker_started`."""

    @abstractmethod
    def lives(self, run: str) -> Sequence[Life]:
        """Every writer the run has had."""

    @abstractmethod
    def note_open(self, writer: int, document: Document) -> None:
        """Remembers how the writer's newest episode began. Durable no later than its timesteps."""

    @abstractmethod
    def insert_timesteps(self, rows: Rows, *, again: bool) -> None:
        """Inserts them; with `again` (an attempt may have been made before) those already there are left alone.

        Raises: RuntimeError without `again` when some exist: another process writes with this writer's number.
        """

    @abstractmethod
    def mark_truncated(self, timestep: int) -> None: ...

    @abstractmethod
    def delete_timesteps(self, ids: Sequence[int]) -> None: ...

    @abstractmethod
    def last_timestep(self, writer: int) -> int | None:
        """The highest timestep id a writer has stored."""

    @abstractmethod
    def read_timesteps(self, first: int, last: int) -> bytes:
        """The documents with ids in first..last, one after the other in that order."""

    @abstractmethod
    def insert_episode(self, document: Document) -> None:
        """Inserts it; the same document again is no error.

        Raises: RuntimeError when the stored one differs: a newer life of the worker has closed the episode.
        """

    @abstractmethod
    def has_episode(self, episode: int) -> bool: ...

    @abstractmethod
    def insert_event(self, document: Document) -> None: ...
