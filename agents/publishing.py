"""When and how the learner's state becomes a published version, without making the learner wait for the upload."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from agents.checkpoints.contract import (
    Blob,
    CheckpointConflict,
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
        holder: str = "",
        after: int = 0,
    ) -> None:
        """`protected` names versions that retention must keep; `published` hears of each new one, in the thread.

        `after` is the version that this learner goes on from, `holder` its own name: what another learner published
        meanwhile is never overtaken by older weights.
        """
        self._holder, self._after = holder, after
        self._store, self._run = store, run
        self._every_s, self._every_updates, self._keep = every_s, every_updates, keep
        self._protected, self._published = protected, published
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publisher")
        self._upload: Future[None] | None = None
        self._last_s = float("-inf")
        self._last_updates = 0
        self.failures = 0

    def due(self, updates: int) -> bool:
        """Whether it is time, and the last upload is through. The first publication is due at once."""
        if self._upload is not None and not self._upload.done():
            return False
        by_updates = self._every_updates is not None and updates - self._last_updates >= self._every_updates
        return by_updates or time.monotonic() - self._last_s >= self._every_s

    def publish(self, policy: Blob, learner: Blob, metadata: Mapping[str, Any]) -> None:
        """Hands copies over to the upload. Raises what the last upload failed with, but for a store that was away."""
        self.wait()
        self._last_s, self._last_updates = time.monotonic(), int(metadata["updates"])
        self._upload = self._thread.submit(self._put, policy, learner, dict(metadata))

    def wait(self) -> None:
        """Until the upload under way is through."""
        if self._upload is not None:
            self._upload.result()

    def close(self) -> None:
        """Waits for the upload under way and ends the thread. Raises what the upload failed with."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()

    def _refuse_overtaking(self) -> None:
        """Raises: CheckpointConflict when another learner published since ours last did."""
        newest = self._store.latest(self._run)
        # Ours may have arrived although the store's answer to it did not.
        if newest and newest.number != self._after and newest.metadata.get("learner") != self._holder:
            raise CheckpointConflict(
                f"version {newest.number} of run {self._run!r} was published by {newest.metadata.get('learner')}, this "
                f"learner goes on from {self._after}; it was cut off and replaced, and stops"
            )

    def _put(self, policy: Blob, learner: Blob, metadata: dict[str, Any]) -> None:
        try:
            self._refuse_overtaking()
            version = self._store.publish(self._run, policy, learner, metadata | {"learner": self._holder})
            self._after = version.number
            self._published(version)
            self._store.retain(self._run, last=self._keep, keep=self._protected())
        except CheckpointStoreUnavailable as error:
            self.failures += 1
            log.warning("checkpoint not published: %s", error)
