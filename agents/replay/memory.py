"""The replay log in this process's memory: for tests and one-process runs. Gone when the process is."""

from __future__ import annotations

import bisect
import copy
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from agents.replay.codec import Rows, documents
from agents.replay.contract import News, WriterConflict
from agents.replay.documents import Document, episode_of, utc_now
from agents.replay.ids import timesteps_of_writer, writer_of_timestep
from agents.replay.log import Log
from agents.replay.runs import ABORTED, Counts, Episode
from agents.replay.storage import Life


class MemoryReplay(Log):
    """Implements `Replay`. Safe to share between threads."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()
        self._arrived = threading.Condition(self._lock)
        """Notified of every episode."""
        self._runs: dict[str, Document] = {}
        self._episodes: dict[int, Document] = {}
        self._timesteps: dict[int, Rows] = {}
        self._ids: list[int] = []
        """Of the timesteps, sorted."""
        self._events: list[Document] = []
        self._refused: list[Document] = []
        self._leases: dict[str, tuple[str, float]] = {}
        """Run -> holder, and when its lease expires on the monotonic clock."""
        self._terms: dict[str, int] = {}
        """Run -> its newest."""

    def insert_run(self, document: Document) -> bool:
        with self._lock:
            return self._runs.setdefault(document["_id"], document) is document

    def run_document(self, name: str) -> Mapping[str, Any] | None:
        return self._runs.get(name)

    def run_names(self) -> Sequence[str]:
        return sorted(self._runs)

    def claim_writer(self, run: str, worker: str) -> int:
        with self._lock:
            number = 1 + max((event["writer"] for event in self._events if "writer" in event), default=0)
            event = {"run": run, "process": worker, "kind": "worker_started", "time": utc_now(), "details": {}}
            self._events.append({**event, "writer": number})
            return number

    def lives(self, run: str) -> Sequence[Life]:
        with self._lock:
            started = [event for event in self._events if event["run"] == run and "writer" in event]
            return [Life(event["writer"], event["process"], event.get("open"), event["time"]) for event in started]

    def note_open(self, writer: int, document: Document) -> None:
        with self._lock:
            for event in self._events:
                if event.get("writer") == writer:
                    event["open"] = document

    def insert_timesteps(self, rows: Rows, *, again: bool) -> None:
        with self._lock:
            for id, document in zip(rows["_id"].tolist(), documents(rows), strict=True):
                if id not in self._timesteps:
                    self._timesteps[id] = np.frombuffer(bytearray(document), dtype=rows.dtype)
                    bisect.insort(self._ids, id)
                elif not again:
                    raise WriterConflict(f"timestep {id} exists; another process writes with the same writer number")

    def mark_truncated(self, timestep: int) -> None:
        with self._lock:
            self._timesteps[timestep]["truncated"] = True

    def delete_timesteps(self, ids: Sequence[int]) -> None:
        with self._lock:
            for id in ids:
                self._timesteps.pop(id, None)
            self._ids = sorted(self._timesteps)

    def last_timestep(self, writer: int) -> int | None:
        ids = self._between(*timesteps_of_writer(writer))
        return ids[-1] if ids else None

    def read_timesteps(self, first: int, last: int) -> bytes | memoryview:
        with self._lock:
            return b"".join(self._timesteps[id].view(np.uint8).tobytes() for id in self._between(first, last))

    def _between(self, first: int, last: int) -> list[int]:
        with self._lock:
            return self._ids[bisect.bisect_left(self._ids, first) : bisect.bisect_right(self._ids, last)]

    def insert_episode(self, document: Document) -> None:
        with self._lock:
            if self._episodes.setdefault(document["_id"], document) != document:
                raise WriterConflict(f"episode {document['_id']} was closed by a newer life of {document['worker']!r}")
            self._arrived.notify_all()

    def news(self, run: str) -> News:
        return _Arrivals(self._arrived, lambda: len(self._episodes))

    def episode_document(self, episode: int) -> Mapping[str, Any] | None:
        return self._episodes.get(episode)

    def episodes_after(self, run: str, watermarks: Mapping[int, int]) -> Sequence[Episode]:
        with self._lock:
            return [
                episode_of(document)
                for id, document in sorted(self._episodes.items())
                if document["run"] == run and id > watermarks.get(document["writer"], -1)
            ]

    def insert_event(self, document: Document) -> None:
        self._insert_once(self._events, document)

    def insert_refused(self, document: Document) -> None:
        self._insert_once(self._refused, document)

    def _insert_once(self, collection: list[Document], document: Document) -> None:
        with self._lock:
            if "_id" not in document or all(document["_id"] != other.get("_id") for other in collection):
                collection.append(document)

    def events(self, run: str, kind: str | None = None) -> Sequence[Mapping[str, Any]]:
        with self._lock:
            found = copy.deepcopy([e for e in self._events if e["run"] == run and kind in (None, e["kind"])])
        return [{name: value for name, value in event.items() if name != "_id"} for event in found]

    def quarantine(self, run: str) -> Sequence[Mapping[str, Any]]:
        with self._lock:
            found = copy.deepcopy([document for document in self._refused if document["run"] == run])
        return [{name: value for name, value in document.items() if name != "_id"} for document in found]

    def counts(self, run: str) -> Counts:
        with self._lock:
            episodes = [document for document in self._episodes.values() if document["run"] == run]
            writers = {life.writer for life in self.lives(run)}
            return Counts(
                runs=int(run in self._runs),
                episodes=len(episodes),
                timesteps=sum(writer_of_timestep(id) in writers for id in self._ids),
                events=sum(event["run"] == run for event in self._events),
                aborted=sum(document["ended"] == ABORTED for document in episodes),
            )

    def acquire_lease(self, run: str, holder: str, *, seconds: float) -> int:
        with self._lock:
            self.run(run)
            if self.lease_holder(run) not in (None, holder):
                return 0
            if run not in self._leases or self._leases[run][0] != holder:
                self._terms[run] = max(self._terms.get(run, 0) + 1, int(1000 * time.time()))
            self._leases[run] = holder, time.monotonic() + seconds
            return self._terms[run]

    def release_lease(self, run: str, holder: str) -> None:
        with self._lock:
            if self.lease_holder(run) == holder:
                del self._leases[run]

    def lease_holder(self, run: str) -> str | None:
        with self._lock:
            holder, expires = self._leases.get(run, (None, 0.0))
            return holder if time.monotonic() < expires else None

    def close(self) -> None:
        """Nothing to close: the documents live as long as this object."""

    # What moves and deletes stored data.

    def read_some(self, first: int, last: int, limit: int) -> bytes:
        with self._lock:
            return b"".join(self._timesteps[id].view(np.uint8).tobytes() for id in self._between(first, last)[:limit])

    def next_timestep(self, first: int, last: int) -> int | None:
        return next(iter(self._between(first, last)), None)

    def delete_between(self, first: int, last: int) -> None:
        with self._lock:
            self.delete_timesteps(self._between(first, last))

    def delete_episodes(self, ids: Sequence[int]) -> None:
        with self._lock:
            for id in ids:
                self._episodes.pop(id, None)

    def bytes_on_disk(self) -> Mapping[str, int]:
        return {}


class _Arrivals:
    """Implements `News` for the episodes of all runs."""

    def __init__(self, arrived: threading.Condition, count: Callable[[], int]) -> None:
        self._arrived, self._count = arrived, count
        self._seen = count()
        self._closed = False

    def wait(self, seconds: float) -> None:
        with self._arrived:
            self._arrived.wait_for(lambda: self._closed or self._count() != self._seen, seconds)
            self._seen = self._count()

    def close(self) -> None:
        with self._arrived:
            self._closed = True
            self._arrived.notify_all()
