"""A writer's way to the store by the local disk: the worker goes on while the store is away, or the worker is killed.

`Spool` takes a writer's calls and appends them to files in a folder of the worker's own; a thread makes the same calls,
in the same order, at the store. A file whose records the store has is deleted, so a healthy run keeps the folder near
empty. What a killed process left there is sent by the next one: `spool_leftovers.py`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np
from bson import ObjectId

from agents.replay.codec import Rows, TimestepCodec
from agents.replay.contract import SPOOL_BYTES, ReplayUnavailable, WriterConflict
from agents.replay.documents import Document
from agents.replay.spool_file import HEAD_BYTES, Kind, Payload
from agents.replay.spool_folder import SpoolFolder
from agents.replay.spool_queue import Part, SpoolQueue
from agents.replay.spool_records import call_of, calls, encoded
from agents.replay.storage import Life, Sink

_log = logging.getLogger(__name__)

_FILES = 16
"""Into which the room is divided: a file is deleted when the store has all of it."""
_END_S = 5.0


class Spool(Sink):
    """Implements `Sink`. For one writer's thread; the store is called by a thread of its own."""

    def __init__(
        self,
        store: Sink,
        codec: TimestepCodec,
        folder: SpoolFolder,
        life: Life,
        *,
        batch: int = 150,
        linger_s: float = 1.0,
        most_bytes: int = SPOOL_BYTES,
    ) -> None:
        """`folder` is ours until the end. What is taken goes to the store when it is `batch` timesteps, `linger_s` old
        or the end of an episode. Above `most_bytes` the writer waits."""
        if batch < 1 or most_bytes < 1:
            raise ValueError(f"spool: found batch={batch}, most_bytes={most_bytes}, needed at least 1")
        self._store, self._codec, self._folder = store, codec, folder
        self._batch, self._linger_s, self._most_bytes = batch, linger_s, most_bytes
        who = encoded({"format": 1, "writer": life.writer, "worker": life.worker, "started": life.started})
        self._queue = SpoolQueue(folder, life.writer, who, file_bytes=most_bytes // _FILES)
        self._changed = threading.Condition()
        self._waited_s = 0.0
        self._left = 0
        """Timesteps and documents that the store lacks."""
        self._oldest_s = 0.0
        """When the oldest of them came."""
        self._hurry = False
        self._ended = False
        self._failure: BaseException | None = None
        self._disk_failed = False
        self._sender = threading.Thread(target=self._send, name="spool", daemon=True)
        self._sender.start()

    @property
    def waited_s(self) -> float:
        return self._waited_s

    def note_open(self, writer: int, document: Document) -> None:
        self._put(Kind.OPEN, encoded({"writer": writer, "open": document}))

    def insert_timesteps(self, rows: Rows, *, again: bool) -> None:
        self._put(Kind.TIMESTEPS_AGAIN if again else Kind.TIMESTEPS, rows.view(np.uint8).data, len(rows))

    def mark_truncated(self, timestep: int) -> None:
        self._put(Kind.TRUNCATED, encoded({"timestep": timestep}))

    def insert_episode(self, document: Document) -> None:
        self._put(Kind.EPISODE, encoded(document), urgent=True)

    def insert_event(self, document: Document) -> None:
        self._put(Kind.EVENT, encoded({"_id": ObjectId(), **document}))

    def insert_refused(self, document: Document) -> None:
        self._put(Kind.REFUSED, encoded({"_id": ObjectId(), **document}))

    def drain(self, wait_s: float) -> int:
        with self._changed:
            self._send_now()
            self._changed.wait_for(lambda: self._queue.all_sent or self._failure is not None, wait_s)
            self._check()
            return self._left

    def finish(self, wait_s: float) -> int:
        left = self.drain(wait_s)
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        # A sender in the middle of a call that waits for the store can not be stopped; it ends after that call.
        self._sender.join(_END_S if left == 0 else 0.1)
        if left:
            _log.warning("%d timesteps and documents are left in %s for the next start", left, self._folder.path)
        return left

    # The writer's side.

    def _put(self, kind: Kind, payload: Payload, count: int = 1, *, urgent: bool = False) -> None:
        size = HEAD_BYTES + len(payload)
        with self._changed:
            self._check()
            if self._queue.bytes + size > self._most_bytes:
                self._wait_until(lambda: self._queue.all_sent or self._queue.bytes + size <= self._most_bytes)
            try:
                self._queue.append(kind, payload)
            except OSError as error:
                self._put_around_the_disk(kind, payload, error)
                return
            if self._disk_failed:
                _log.warning("the spool in %s can be written again", self._folder.path)
                self._disk_failed = False
            if self._left == 0:
                self._oldest_s = time.monotonic()
            before, self._left = self._left, self._left + count
            self._hurry |= urgent
            if before == 0 or urgent or before < self._batch <= self._left:
                self._changed.notify_all()

    def _put_around_the_disk(self, kind: Kind, payload: Payload, error: OSError) -> None:
        """Waits until the store has what came before, and this too."""
        if not self._disk_failed:
            _log.warning("the spool in %s can not be written, waiting for the store: %s", self._folder.path, error)
            self._disk_failed = True
        self._wait_until(lambda: self._queue.all_sent)
        started_s = time.monotonic()
        # Nothing is left for the sender, so this is in order.
        call_of(kind, payload, self._codec).make(self._store)
        self._waited_s += time.monotonic() - started_s

    def _wait_until(self, done: Callable[[], bool]) -> None:
        started_s = time.monotonic()
        try:
            while not done():
                self._send_now()
                self._changed.wait()
                self._check()
        finally:
            self._waited_s += time.monotonic() - started_s

    def _send_now(self) -> None:
        self._hurry = True
        self._changed.notify_all()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._ended:
            raise RuntimeError("this writer was closed; needed a new one")

    # The sender's side.

    def _send(self) -> None:
        try:
            while (work := self._await_work()) is not None:
                self._send_part(work)
        except BaseException as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()
                if isinstance(error, WriterConflict):
                    # The store has refused it: sent again as if the answer had been lost, it might mix with another's.
                    self._queue.set_aside(str(error))
            if not isinstance(error, ReplayUnavailable):
                _log.exception("the spool in %s can not be sent", self._folder.path)
        finally:
            with self._changed:
                self._queue.close()
                self._folder.release()

    def _await_work(self) -> Part | None:
        """None when this life has ended."""
        with self._changed:
            while not self._ended:
                waiting, wait_s = not self._queue.all_sent, self._oldest_s + self._linger_s - time.monotonic()
                if waiting and (self._hurry or self._left >= self._batch or wait_s <= 0):
                    part = self._queue.next()
                    self._hurry &= not part.is_newest
                    return part
                self._changed.wait(wait_s if waiting else None)
            return None

    def _send_part(self, part: Part) -> None:
        came_s, start = time.monotonic(), part.start
        for call in calls(part.file.records(start, part.end), self._codec):
            call.make(self._store)
            start = call.end
            with self._changed:
                self._left -= call.count
                self._oldest_s = came_s
                self._queue.mark_sent(start)
                if self._queue.all_sent:
                    self._left = 0  # a record whose writer was interrupted before it was counted
                self._changed.notify_all()
                if self._ended:
                    return
        if start != part.end:
            raise OSError(f"{part.file.path} is damaged at {start}: a record that was written there can not be read")
