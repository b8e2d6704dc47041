"""The right to train a run, kept alive by its own thread: neither a long update nor a long load loses it."""

from __future__ import annotations

import logging
import threading
import time

from agents.replay.contract import Replay, ReplayUnavailable

log = logging.getLogger(__name__)


class RunIsTaken(RuntimeError):
    """Another learner trains this run. Says who."""


class LeaseLost(RuntimeError):
    """Another learner took the run over. This one may not publish any more."""


class Lease:
    """One learner's hold on one run.

    By this machine's own clock the lease counts only for `seconds` after the last renewal was *asked for*: a learner
    that is cut off stops publishing before anyone else may begin.
    """

    def __init__(self, replay: Replay, run: str, holder: str, *, seconds: float) -> None:
        self._replay, self._run, self.holder, self._seconds = replay, run, holder, seconds
        self._valid_until_s = float("-inf")
        self.term = 0
        """Of this hold on the run: what another learner publishes under a lower one no longer counts."""
        self._lost = False
        self._failure: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def take(self) -> None:
        """Takes the lease, waiting as long as a dead learner's may still last, and keeps it.

        Raises: RunIsTaken when its holder is alive.
        """
        given_up_s = time.monotonic() + self._seconds + 2.0
        while not self._renew():
            holder = self._replay.lease_holder(self._run)
            if time.monotonic() >= given_up_s:
                raise RunIsTaken(f"run {self._run!r} is trained by {holder}; stop that learner first")
            log.info("waiting for the lease of %s", holder)
            time.sleep(1.0)
        self._thread.start()

    def check(self) -> None:
        """Raises: LeaseLost when another learner has taken over; RuntimeError when renewing failed for good."""
        if self._failure is not None:
            raise RuntimeError(f"the lease of run {self._run!r} can not be renewed") from self._failure
        if self._lost:
            holder = self._replay.lease_holder(self._run)
            by = "another, which has ended" if holder in (None, self.holder) else holder
            raise LeaseLost(f"run {self._run!r} was taken over by {by}; this learner stops without publishing")

    def valid(self) -> bool:
        """Whether publishing is allowed now."""
        return not self._lost and time.monotonic() < self._valid_until_s

    def release(self) -> None:
        """Gives the run free and ends the thread."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._replay.release_lease(self._run, self.holder)

    def _renew(self) -> bool:
        asked_s = time.monotonic()
        term = self._replay.acquire_lease(self._run, self.holder, seconds=self._seconds)
        # A higher term than ours: another learner had the run, and is gone already.
        if not term or self.term not in (0, term):
            return False
        self.term = term
        self._valid_until_s = asked_s + self._seconds
        return True

    def _keep(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            try:
                self._lost = not self._renew()
            except ReplayUnavailable as error:  # the lease runs out by itself; renewed when the store is back
                log.warning("the lease is not renewed: %s", error)
            except Exception as error:  # handed over to the learner's loop: it would train on and never publish again
                self._failure = error
                return
            if self._lost:
                return
