"""The few operations on its collections that a replay log is made of: what differs between MongoDB and memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
    started: datetime
    """With the number it tells this life from one of the same number in another database."""


class Sink(ABC):
    """What a writer writes to. Whatever a call returned from survives the death of this process."""

    @property
    def waited_s(self) -> float:
        """Seconds that callers have waited because the store was away."""
        return 0.0

    @abstractmethod
    def note_open(self, writer: int, document: Document) -> None:
        """Remembers how the writer's newest episode began. Durable no later than its timesteps."""

    @abstractmethod
    def insert_timesteps(self, rows: Rows, *, again: bool) -> None:
        """Inserts them; with `again` (an attempt may have been made before) those already there are left alone.

        Raises: WriterConflict without `again` when some exist: another process writes with this writer's number.
        """

    @abstractmethod
    def mark_truncated(self, timestep: int) -> None: ...

    @abstractmethod
    def insert_episode(self, document: Document) -> None:
        """Inserts it; the same document again is no error.

        Raises: WriterConflict when the stored one differs: a newer life of the worker has closed the episode.
        """

    @abstractmethod
    def insert_event(self, document: Document) -> None:
        """Inserts it; one with an `_id` that is there already is left out."""

    @abstractmethod
    def insert_refused(self, document: Document) -> None:
        """Keeps a refused timestep in the collection `quarantine`; an `_id` counts as in `insert_event`."""

    def drain(self, wait_s: float) -> int:
        """Waits until the store has everything, at most `wait_s`; returns the timesteps and documents it lacks."""
        return 0

    def finish(self, wait_s: float) -> int:
        """`drain`, when the writer ends; nothing is written afterwards."""
        return 0


class Storage(Sink):
    """Documents in, documents out. Writes return when they are durable, and wait while the store is away."""

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
    def delete_timesteps(self, ids: Sequence[int]) -> None: ...

    @abstractmethod
    def last_timestep(self, writer: int) -> int | None:
        """The highest timestep id a writer has stored."""

    @abstractmethod
    def read_timesteps(self, first: int, last: int) -> bytes | memoryview:
        """The documents with ids in first..last, one after the other in that order."""

    @abstractmethod
    def episode_document(self, episode: int) -> Mapping[str, Any] | None: ...

    def has_episode(self, episode: int) -> bool:
        return self.episode_document(episode) is not None

    @abstractmethod
    def quarantine(self, run: str) -> Sequence[Mapping[str, Any]]:
        """What `insert_refused` kept of a run, oldest first."""

    # What moves and deletes stored data; no worker and no learner needs it.

    @abstractmethod
    def read_some(self, first: int, last: int, limit: int) -> bytes:
        """The first `limit` timesteps at most with ids in first..last, as `read_timesteps` gives them."""

    @abstractmethod
    def next_timestep(self, first: int, last: int) -> int | None:
        """The lowest timestep id in first..last."""

    @abstractmethod
    def delete_between(self, first: int, last: int) -> None:
        """Deletes the timesteps with ids in first..last."""

    @abstractmethod
    def delete_episodes(self, ids: Sequence[int]) -> None:
        """Deletes documents of `episodes`; their timesteps stay."""

    @abstractmethod
    def bytes_on_disk(self) -> Mapping[str, int]:
        """Of each collection with its indexes, all runs together; empty when the store is no disk."""
