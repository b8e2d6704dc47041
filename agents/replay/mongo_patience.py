"""Waiting for a server that went away: which errors mean that, and what they leave of a batch."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    InvalidOperation,
    OperationFailure,
    WriteConcernError,
    WTimeoutError,
)

from agents.replay.contract import ReplayUnavailable, WriterConflict

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_LONGEST_PAUSE_S = 2.0
_DUPLICATE_KEY = 11000
_GOING_AWAY = {91, 189, 10107, 11600, 11602, 13435, 13436}
"""Codes of a server that shuts down or hands over while it executes a batch."""
_NO_SIGNING_KEY = 211
"""What a server says that came back without the key which signed the time that this client still has. The client's next
look at the server brings it a newer time."""


class Patience:
    """Makes calls again until the server answers. Safe to share between threads."""

    def __init__(self, patience_s: float | None) -> None:
        """How long one call may wait; None: for ever, until `end`."""
        self.waited_s = 0.0
        """Seconds that calls have waited so far."""
        self._patience_s = patience_s
        self._ended = threading.Event()

    def __call__(self, operation: Callable[[], _T]) -> _T:
        """What `operation` returns. An earlier call of it may have succeeded without our hearing of it.

        Raises: ReplayUnavailable when patience has ended.
        """
        started, pause_s, away = time.monotonic(), 0.05, False
        while True:
            try:
                result = operation()
            except (ConnectionFailure, OperationFailure, InvalidOperation) as error:
                if not self._passes(error):
                    raise
                away_s = time.monotonic() - started
                if not away:
                    _log.warning("replay store is away, waiting: %s", type(error).__name__)
                if self._ended.is_set() or (self._patience_s is not None and away_s > self._patience_s):
                    self.waited_s += away_s
                    raise ReplayUnavailable(f"the replay store did not answer for {away_s:.1f} s") from error
                away = True
                self._ended.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            if away:
                self.waited_s += time.monotonic() - started
                _log.warning("replay store is back after %.1f s", time.monotonic() - started)
            return result

    def _passes(self, error: Exception) -> bool:
        """Whether trying again can help: the server is away or not quite back, or this client was closed."""
        if isinstance(error, InvalidOperation):
            return self._ended.is_set()
        if isinstance(error, OperationFailure) and not isinstance(error, (WTimeoutError, WriteConcernError)):
            return error.code == _NO_SIGNING_KEY
        return True

    def end(self) -> None:
        """Ends every wait with ReplayUnavailable, those to come as well."""
        self._ended.set()


def judge_batch(error: BulkWriteError, *, again: bool) -> None:
    """Returns when every document is stored; `again`: some may have been before.

    Raises: AutoReconnect when the rest has to be tried again, WriterConflict when ids were taken before we wrote.
    """
    details = error.details or {}
    codes = {int(item["code"]) for item in details.get("writeErrors", [])}
    if codes - {_DUPLICATE_KEY} - _GOING_AWAY:
        raise error
    if codes & _GOING_AWAY or details.get("writeConcernErrors"):
        raise AutoReconnect("the server went away during a batch") from error
    if codes and not again:
        raise WriterConflict(
            "timesteps with these ids exist before they were written; another process uses the same writer number"
        ) from error
