"""When and how the learner's state becomes a published version, without making the learner wait for the upload."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from agents.checkpoints.contract import (
    Blob,
    CheckpointStore,
    CheckpointStoreUnavailable,
    Version,
)

log = logging.getLogger(__name__)


class Publisher:
    """Publishes by time or by updates, one upload at a time, in a thread of its own.

    A store that is away costs freshness, not training: the next due publication tries again with newer weights.
    """

    def __init__(
        self,
        store: CheckpointStore,
        run: str,
        *,
        every_s: float,
        every_updates: int | None,
        keep: int,
        protected: Callable[[], Sequence[int]],
        published: Callable[[Version], None],
        stored_updates: int = 0,
        holder: str = "",
        term: int | None = None,
    ) -> None:
        """`protected` names versions that retention must keep; `published` hears of each new one, in the thread.
        `stored_updates` is how many the state that training goes on from has made.

        `term` is the learner's, opened in the store, `holder` its own name: once another learner has opened a higher
        one, nothing that this one still uploads becomes the latest.
        """
        self._holder, self._term = holder, term
        self._store, self._run = store, run
        self._every_s, self._every_updates, self._keep = every_s, every_updates, keep
        self._protected, self._published = protected, published
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publisher")
        self._upload: Future[None] | None = None
        self._last_s = float("-inf")
        self._last_updates = 0
        self.stored_updates = stored_updates
        """Of the learner's newest state that the store has: one that is on its way, or was missed, does not count."""
        self.failures = 0
        self.blocked_ms = self.longest_blocked_ms = 0.0
        """How long the learner stood still for the newest publication, and for the longest one."""

    def due(self, updates: int) -> bool:
        """Whether it is time, and the last upload is through. The first publication is due at once.

        Raises what the last upload failed with, as `publish` does.
        """
        if self._upload is not None:
            if not self._upload.done():
                return False
            self.wait()
        by_updates = self._every_updates is not None and updates - self._last_updates >= self._every_updates
        return by_updates or time.monotonic() - self._last_s >= self._every_s

    def publish(self, copies: Callable[[], tuple[Blob, Blob]], metadata: Mapping[str, Any]) -> None:
        """Takes copies of the policy's and the learner's part, and hands them over to the upload.

        Whoever calls stands still for no more than that (`blocked_ms`). Raises what the last upload failed with, but
        for a store that was away; FloatingPointError when it held numbers that are not finite.
        """
        self.wait()
        started_s = time.monotonic()
        self._last_s, self._last_updates = started_s, int(metadata["updates"])
        policy, learner = copies()
        self._upload = self._thread.submit(self._put, policy, learner, dict(metadata))
        self.blocked_ms = 1e3 * (time.monotonic() - started_s)
        self.longest_blocked_ms = max(self.longest_blocked_ms, self.blocked_ms)

    def wait(self) -> None:
        """Until the upload under way is through. Raises what it failed with, once."""
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.result()

    def close(self) -> None:
        """Waits for the upload under way and ends the thread. Raises what the upload failed with."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()

    def _put(self, policy: Blob, learner: Blob, metadata: dict[str, Any]) -> None:
        _refuse_non_finite(learner)
        try:
            facts = metadata | {"learner": self._holder}
            version = self._store.publish(self._run, policy, learner, facts, term=self._term)
            self.stored_updates = int(metadata["updates"])
            self._published(version)
            self._store.retain(self._run, last=self._keep, keep=self._protected())
        except CheckpointStoreUnavailable as error:
            self.failures += 1
            log.warning("checkpoint not published: %s", error)


def _refuse_non_finite(learner: Blob) -> None:
    """Raises: FloatingPointError naming the arrays; whoever goes on from them would not learn any more."""
    floats = {name: array for name, array in learner.tensors.items() if array.dtype.kind == "f"}
    bad = [name for name, array in floats.items() if not np.isfinite(array).all()]
    if bad:
        raise FloatingPointError(
            f"{len(bad)} arrays of the learner are not finite, the first is {bad[0]}: training diverged; "
            "nothing was published"
        )
