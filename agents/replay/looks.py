"""Looks into the log now and then, by a thread of its own, so that no rollout waits for the database."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from agents.replay.contract import ReplayUnavailable

log = logging.getLogger(__name__)

_FIRST_WAIT_S = 2.0
"""For the first look; later ones are never waited for."""


class Looks:
    """Calls `look` in the background. While the database is away, what was seen before has to do."""

    def __init__(self, look: Callable[[], None], name: str) -> None:
        """`name`: of the thread, and in what is logged."""
        self._look_now, self._name = look, name
        self._thread: threading.Thread | None = None
        self._next_s = -math.inf
        self._error: Exception | None = None

    def keep_fresh(self, every_s: float) -> None:
        """Begins a look when the last one began so long ago, and is over. Raises: what a look failed with."""
        if self._error is not None:
            raise self._error
        if time.monotonic() < self._next_s or (self._thread is not None and self._thread.is_alive()):
            return
        first = self._thread is None
        self._next_s = time.monotonic() + every_s
        # A daemon: while the database is away it would keep a worker from stopping.
        self._thread = threading.Thread(target=self._look, name=self._name, daemon=True)
        self._thread.start()
        if first:
            self._thread.join(_FIRST_WAIT_S)

    def _look(self) -> None:
        try:
            self._look_now()
        except (ReplayUnavailable, LookupError) as reason:
            # The database is away, or a prune was quicker.
            log.warning("nothing new of %s: %s", self._name, reason)
        except Exception as error:
            self._error = error
