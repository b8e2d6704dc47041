"""A writer's way to the store by the local disk: the worker goes on while the store is away, or the worker is killed.

`Spool` takes a writer's calls and appends them to files in a folder of the worker's own; a thread makes the same calls,
in the same order, at the store. A file whose records the store has is deleted, so a healthy run keeps the folder near
empty. What a killed process left there is sent by the next one: `spool_leftovers.py`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np
from bson import ObjectId

from agents.replay.codec import Rows, TimestepCodec
from agents.replay.contract import SPOOL_BYTES, ReplayUnavailable, WriterConflict
from agents.replay.documents import Document
from agents.replay.spool_file import HEAD_BYTES, Kind, Payload, SpoolFile
from agents.replay.spool_folder import SpoolFolder
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
        self._life = encoded({"format": 1, "writer": life.writer, "worker": life.worker, "started": life.started})
        self._writer = life.writer
        self._changed = threading.Condition()
        self._files: deque[SpoolFile] = deque()
        """The sender reads the first; the last is appended to."""
        self._made = 0
        self._sent = 0
        """Offset in the first file up to which the store has it."""
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
            self._changed.wait_for(lambda: self._all_sent() or self._failure is not None, wait_s)
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
            if self._bytes() + size > self._most_bytes:
                self._wait_until(lambda: self._all_sent() or self._bytes() + size <= self._most_bytes)
            try:
                self._file_for(size).append(kind, payload)
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
        self._wait_until(self._all_sent)
        started_s = time.monotonic()
        # Nothing is left for the sender, so this is in order.
        call_of(kind, payload, self._codec).make(self._store)
        self.waited_s += time.monotonic() - started_s

    def _wait_until(self, done: Callable[[], bool]) -> None:
        started_s = time.monotonic()
        try:
            while not done():
                self._send_now()
                self._changed.wait()
                self._check()
        finally:
            self.waited_s += time.monotonic() - started_s

    def _file_for(self, size: int) -> SpoolFile:
        """The file that the next record goes to. Raises: OSError."""
        if not self._files or (
            self._files[-1].end + size > self._most_bytes // _FILES and self._files[-1].end > self._files[-1].first
        ):
            file = self._folder.new_file(self._writer, self._made, self._life)
            self._made += 1
            if not self._files:
                self._sent = file.first
            self._files.append(file)
        return self._files[-1]

    def _all_sent(self) -> bool:
        return not self._files or (len(self._files) == 1 and self._sent == self._files[0].end)

    def _bytes(self) -> int:
        return sum(file.end for file in self._files)

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
                self._send_file(*work)
        except BaseException as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()
            if isinstance(error, WriterConflict):
                # The store has refused it: sent again as if the answer had been lost, it might mix with another's.
                for file in self._files:
                    self._folder.set_aside(file.path)
            if not isinstance(error, ReplayUnavailable):
                _log.exception("the spool in %s can not be sent", self._folder.path)
        finally:
            with self._changed:
                self._close_files()
                self._folder.release()

    def _await_work(self) -> tuple[SpoolFile, int, int] | None:
        """A file and the part of it to send; None when this life has ended."""
        with self._changed:
            while not self._ended:
                waiting, wait_s = not self._all_sent(), self._oldest_s + self._linger_s - time.monotonic()
                if waiting and (self._hurry or self._left >= self._batch or wait_s <= 0):
                    file = self._files[0]
                    self._hurry &= file is not self._files[-1]
                    return file, self._sent, file.end
                self._changed.wait(wait_s if waiting else None)
            return None

    def _send_file(self, file: SpoolFile, start: int, end: int) -> None:
        came_s = time.monotonic()
        for call in calls(file.records(start, end), self._codec):
            call.make(self._store)
            start = call.end
            with self._changed:
                self._left -= call.count
                self._oldest_s, self._sent = came_s, start
                self._drop_what_is_sent()
                self._changed.notify_all()
                if self._ended:
                    return
        if start != end:
            raise OSError(f"{file.path} is damaged at {start}: a record that was written there can not be read")

    def _drop_what_is_sent(self) -> None:
        file = self._files[0]
        if self._sent < file.end:
            return
        if len(self._files) == 1:
            file.reset(file.first)
            self._left = 0  # a record whose writer was interrupted before it was counted
        else:
            self._files.popleft()
            file.delete()
        self._sent = self._files[0].first

    def _close_files(self) -> None:
        end = SpoolFile.delete if self._all_sent() else SpoolFile.close
        for file in self._files:
            end(file)
        self._files.clear()
