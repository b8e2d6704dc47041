"""A change stream on `episodes` as an alarm clock: it shortens the wait for new episodes and decides nothing.

What is new is read by watermarks whenever it rings or a while has passed. So nothing is missed and nothing taken twice
when the server restarts, when the oplog has lost the stream's place, or where there are no change streams at all.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from pymongo.change_stream import CollectionChangeStream
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

_log = logging.getLogger(__name__)

_LONGEST_AWAIT_MS = 250
"""A wait on the server; `close` is noticed in between."""
_BLIND_S = 0.1
"""A wait without a stream."""


class EpisodeStream:
    """Implements `News` for one run."""

    def __init__(self, episodes: Collection[dict[str, Any]], run: str) -> None:
        self._episodes, self._run = episodes, run
        self._stream: CollectionChangeStream[dict[str, Any]] | None = None
        self._closed = threading.Event()
        self._lock = threading.Lock()
        """Of the stream, which two threads must not use at a time."""
        self._failed = False
        self._open()

    def wait(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while not self._closed.is_set() and (left_s := until_s - time.monotonic()) > 0:
            with self._lock:
                listening = self._stream is not None
                if self._rings():
                    return
            if not listening:
                self._closed.wait(min(left_s, _BLIND_S))
                return

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            self._end()

    def _rings(self) -> bool:
        """Whether to look at the log: an episode came, or may have come while nothing listened."""
        if self._stream is None:
            return self._open()
        try:
            return self._stream.try_next() is not None
        except PyMongoError as error:
            self._tell(error)
            self._end()
            return True

    def _open(self) -> bool:
        """Listens from now on."""
        inserted: list[dict[str, Any]] = [
            {"$match": {"operationType": "insert", "fullDocument.run": self._run}},
            {"$project": {"_id": True}},
        ]
        try:
            self._stream = self._episodes.watch(inserted, max_await_time_ms=_LONGEST_AWAIT_MS)
        except PyMongoError as error:
            self._tell(error)
            return False
        self._failed = False
        return True

    def _end(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            try:
                stream.close()
            except PyMongoError as error:
                _log.debug("a change stream could not be closed: %s", error)

    def _tell(self, error: PyMongoError) -> None:
        if not self._failed:
            _log.warning("no change stream, new episodes are looked for every %g s: %s", _BLIND_S, type(error).__name__)
        self._failed = True
