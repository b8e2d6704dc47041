"""Where an actor gets its policies: the newest published checkpoint that fits, until then random actions."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime

from agents.checkpoints.contract import (
    CheckpointCorrupt,
    CheckpointMissing,
    CheckpointStore,
    CheckpointStoreUnavailable,
    Version,
)
from agents.policy import ActingPolicy, Policy, PolicyContract, PolicyMismatch

log = logging.getLogger(__name__)

Note = Callable[..., None]
"""`note(kind, **details)` writes an event."""


class PublishedPolicies:
    """Follows the store's pointer. Keeps the last good policy when the newest one is refused or out of reach."""

    def __init__(
        self,
        store: CheckpointStore,
        run: str,
        needed: PolicyContract,
        first: ActingPolicy,
        note: Note,
        look_every_s: float = 0.0,
    ) -> None:
        """`first` acts until something is published. The store is looked at no more often than `look_every_s`."""
        self._store, self._run, self._needed, self._note = store, run, needed, note
        self._look_every_s, self._looked_s = look_every_s, -math.inf
        self._policy = first
        self._refused = 0
        self.updates = 0
        """Batches that the newest published version has learned from."""
        self.refresh_ms = 0.0

    def latest(self) -> ActingPolicy:
        """The newest policy that may act here; looks at the store's pointer, unless it has just done so."""
        started_s = time.perf_counter()
        if started_s - self._looked_s < self._look_every_s:
            return self._policy
        self._looked_s = started_s
        try:
            version = self._store.latest(self._run)
            if version is not None:
                self.updates = int(version.metadata.get("updates", 0))
            if version is not None and version.number not in (self._policy.version, self._refused):
                self._take(version)
        except (CheckpointStoreUnavailable, CheckpointMissing, CheckpointCorrupt) as error:
            # A version may be retired between the look at the pointer and the download; the next look finds its heir. A
            # damaged pointer is the learner's to mend.
            log.warning("acting on with policy %d: %s", self._policy.version, error)
        self.refresh_ms = 1e3 * (time.perf_counter() - started_s)
        return self._policy

    def _take(self, newest: Version) -> None:
        number = newest.number
        try:
            _, blob = self._store.load(self._run, "policy", number)
            policy = Policy.from_blob(blob, version=number, explores=True)
            policy.check(self._needed)
        except (CheckpointCorrupt, PolicyMismatch, FloatingPointError, ValueError) as error:
            self._refused = number
            log.error("refused policy %d, acting on with %d: %s", number, self._policy.version, error)
            self._note("policy_refused", version=number, kept=self._policy.version, reason=str(error))
            return
        # By the clocks of two machines, where they are two.
        age_s = (datetime.now(UTC) - newest.published).total_seconds()
        self._note("policy_refreshed", version=number, before=self._policy.version, age_s=age_s)
        self._policy = policy


class FixedPolicy:
    """Always the same policy."""

    def __init__(self, policy: ActingPolicy) -> None:
        self._policy = policy

    def latest(self) -> ActingPolicy:
        return self._policy
