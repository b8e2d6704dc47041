"""The replay log in this process's memory: for tests and one-process runs. Gone when the process is."""

from __future__ import annotations

import bisect
import copy
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from agents.replay.codec import Rows, documents
from agents.replay.contract import ABORTED, EPISODE_BITS, STEP_BITS, Counts, Episode
from agents.replay.documents import Document, episode_of, utc_now
from agents.replay.log import Log
from agents.replay.storage import Life


class MemoryReplay(Log):
    """Implements `Replay`. Safe to share between threads."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()
        self._runs: dict[str, Document] = {}
        self._episodes: dict[int, Document] = {}
        self._timesteps: dict[int, bytearray] = {}
        self._events: list[Document] = []
        self._truncated_at: dict[int, int] = {}
        """Timestep id -> offset of its `truncated` byte."""

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
            self._events.append(
                {
                    "run": run,
                    "process": worker,
                    "kind": "worker_started",
                    "time": utc_now(),
                    "details": {},
                    "writer": number,
                }
            )
            return number

    def lives(self, run: str) -> Sequence[Life]:
        with self._lock:
            started = [event for event in self._events if event["run"] == run and "writer" in event]
            return [Life(event["writer"], event["process"], event.get("open")) for event in started]

    def note_open(self, writer: int, document: Document) -> None:
        with self._lock:
            for event in self._events:
                if event.get("writer") == writer:
                    event["open"] = document

    def insert_timesteps(self, rows: Rows, *, again: bool) -> None:
        ids = rows["_id"].tolist()
        field = rows.dtype.fields
        assert field is not None
        offset = int(field["truncated"][1])
        with self._lock:
            taken = [id for id in ids if id in self._timesteps]
            if taken and not again:
                raise RuntimeError(f"{len(taken)} timesteps from {taken[0]} exist; another process has the same writer")
            for id, document in zip(ids, documents(rows), strict=True):
                self._timesteps.setdefault(id, bytearray(document))
                self._truncated_at[id] = offset

    def mark_truncated(self, timestep: int) -> None:
        with self._lock:
            self._timesteps[timestep][self._truncated_at[timestep]] = 1

    def delete_timesteps(self, ids: Sequence[int]) -> None:
        with self._lock:
            for id in ids:
                del self._timesteps[id]

    def last_timestep(self, writer: int) -> int | None:
        ids = self._ids(writer << (EPISODE_BITS + STEP_BITS), ((writer + 1) << (EPISODE_BITS + STEP_BITS)) - 1)
        return ids[-1] if ids else None

    def read_timesteps(self, first: int, last: int) -> bytes:
        with self._lock:
            return b"".join(self._timesteps[id] for id in self._ids(first, last))
