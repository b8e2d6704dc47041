"""What a learner does when it has diverged: it goes on from a version that was good, a few times."""

from __future__ import annotations

import logging

from agents.checkpoints.contract import CheckpointCorrupt, CheckpointMissing, CheckpointStore, Version
from agents.learner import Learner
from agents.publishing import Publisher
from agents.replay.contract import Replay
from agents.telemetry import Telemetry

log = logging.getLogger(__name__)

_MOST = 3
"""In the life of a process. What diverges more often needs other settings, not more patience."""


class Rollbacks:
    """Counts how often. Each time it goes one version further back than the time before: what diverges again soon was
    on its way there already."""

    def __init__(self, run: str, replay: Replay, store: CheckpointStore, telemetry: Telemetry) -> None:
        self._run, self._replay, self._store, self._telemetry = run, replay, store, telemetry
        self._count = 0

    def go_back(self, learner: Learner, publisher: Publisher, error: FloatingPointError) -> None:
        """Nothing of what diverged is published, as `Publisher` refuses it.

        Raises: `error` itself when there is no version to go back to, or it has happened too often.
        """
        self._note("diverged", reason=str(error), updates=learner.updates)
        try:
            publisher.wait()
        except FloatingPointError as same:
            log.warning("what was about to be published was not finite either: %s", same)
        self._count += 1
        good = self._restored(learner) if self._count <= _MOST else None
        if good is None:
            log.error("diverged %d times, and gives up: %s", self._count, error)
            raise error
        publisher.stored_updates = learner.updates
        log.warning("rolled back to version %d at %d updates: %s", good.number, learner.updates, error)
        self._note("rolled_back", version=good.number, updates=learner.updates, reason=str(error))
        self._telemetry.status(rollbacks=self._count, rolled_back_to=good.number)

    def _restored(self, learner: Learner) -> Version | None:
        """The newest version but `count - 1`, or the oldest, that is whole."""
        versions = self._store.versions(self._run)
        last = max(1, len(versions) - self._count + 1)
        for candidate in reversed(versions[:last]):
            try:
                version, blob = self._store.load(self._run, "learner", candidate.number)
            except (CheckpointCorrupt, CheckpointMissing) as error:
                self._note("checkpoint_not_used", version=candidate.number, reason=str(error))
                continue
            learner.roll_back(blob)
            return version
        return None

    def _note(self, kind: str, **details: object) -> None:
        self._replay.event(self._run, self._telemetry.process, kind, **details)
