"""What a replay store promises. Implementations, both over `log.py`: `mongo.py` (durable), `memory.py` (tests and
one-process runs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agents.replay.columns import EpisodeTimesteps, TimestepBlock, Timesteps
from agents.replay.runs import Counts, Episode, EpisodeStart, Run
from environment.timestep import TimeStep

SPOOL_BYTES = 512 << 20
"""Room on a worker's local disk while the store is away: some 250,000 timesteps."""


class RefusedTimestep(ValueError):
    """A timestep that may not enter the log: not finite, out of range, wrong width or out of order."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """One of a few words, to count by: `not_finite`, `out_of_range`, `wrong_width`, `out_of_order`, …"""


class WriterConflict(RuntimeError):
    """The store has other documents than ours under our ids: another process writes with this writer's number, or a
    newer life of the worker has closed its episode."""


class ReplayUnavailable(ConnectionError):
    """The store cannot be reached, or asks for other credentials. Says which, without the password."""


class EpisodeWriter(Protocol):
    """Appends one worker's episodes. One life of one process; not shared between threads."""

    writer: int

    @property
    def waited_s(self) -> float:
        """Seconds that this writer has waited so far because the store was away."""

    def begin(self, start: EpisodeStart, first: TimeStep) -> int:
        """Opens an episode with its reset timestep (step 0) and returns its id.

        Raises: RuntimeError while another episode is open.
        """

    def add(self, timestep: TimeStep) -> None:
        """Takes the next timestep; durable after the next `flush` (every `batch` timesteps) or `end`.

        Raises: RefusedTimestep, and the timestep is not taken (the refusal is counted as an event).
        """

    def add_many(self, block: TimestepBlock) -> None:
        """Takes the next timesteps; the same as `add` of each, at a fraction of the cost.

        Raises: RefusedTimestep of the first one that may not enter; those before it are taken, those after it not.
        """

    def end(
        self,
        *,
        ended: str,
        reward_terms: Mapping[str, float],
        step_ms_mean: float,
        round_returns: Mapping[str, float] | None = None,
    ) -> Episode:
        """Writes what is left of the open episode's timesteps, then its document.

        An episode whose last timestep is neither terminated nor truncated (a simulator failure) becomes truncated.
        Waits and retries while the store is away; never drops.

        Args:
            round_returns: What both rounds pay for the episode; None where nobody has computed it.

        Raises: ValueError when `reward_terms` do not add up to the return; RuntimeError when no episode is open, or
            when a newer life of this worker has closed it.
        """

    def abort(self) -> Episode | None:
        """Ends an open episode as `aborted` (its last timestep counts as truncated); None if none is open."""

    def note(self, kind: str, **details: Any) -> None:
        """Notes in `events` what happened to this worker, in order with what it writes."""

    def drain(self, wait_s: float) -> int:
        """Waits until the store has all that was handed over, at most `wait_s`; returns the timesteps it lacks then."""

    def close(self, wait_s: float) -> int:
        """Ends this life: `drain`. With a spool the timesteps that are left are sent by the next life; else none is."""


class News(Protocol):
    """Tells one reader when to look for new episodes. It may miss some and tell of others twice: what is new, only
    `episodes_after` knows."""

    def wait(self, seconds: float) -> None:
        """Returns as soon as an episode was added to the run since the last call, at the latest after so long."""

    def close(self) -> None:
        """From another thread it also ends a `wait`, soon."""


class Replay(Protocol):
    """The log of one or many runs."""

    def open_run(self, run: Run) -> Run:
        """Creates the run or, if it exists, returns the stored one.

        Raises: ValueError when the stored run has another layout, task, reward or model: says found and needed.
        """

    def run(self, name: str) -> Run:
        """Raises: KeyError naming the runs that exist."""

    def runs(self) -> Sequence[str]: ...

    def writer(
        self, run: str, worker: str, *, batch: int = 150, spool: Path | None = None, spool_bytes: int = SPOOL_BYTES
    ) -> EpisodeWriter:
        """A new life of `worker`: takes a fresh writer number and closes what its former lives left open.

        With `spool`, a folder of this worker's own on local disk, the writer does not wait for the store: what it takes
        lies there, at most `spool_bytes` of it, until the store has it. What former lives left there is sent first.

        Raises: RuntimeError when another process uses the folder.
        """

    def episodes_after(self, run: str, watermarks: Mapping[int, int]) -> Sequence[Episode]:
        """Episodes beyond `watermarks` (writer -> last episode id taken), each writer's in order."""

    def episode(self, id: int) -> Episode:
        """A finished or aborted episode of whichever run. Raises: KeyError when there is none of that id."""

    def news(self, run: str) -> News:
        """Listens from now on."""

    def timesteps(self, episode: Episode) -> EpisodeTimesteps:
        """Raises: LookupError when the log has gaps: says which steps are missing."""

    def timesteps_of(self, episodes: Sequence[Episode]) -> Sequence[EpisodeTimesteps]:
        """Those of many episodes, in the order asked."""

    def read(self, episodes: Sequence[Episode]) -> Timesteps:
        """Those of some episodes of one run, by id; neighbours in the log are read in one go.

        All of them are in memory at once: ask for some ten thousand timesteps at a time.

        Raises: LookupError when the log has gaps: says which steps are missing.
        """

    def event(self, run: str, process: str, kind: str, **details: Any) -> None:
        """Notes in `events` what happened and when."""

    def events(self, run: str, kind: str | None = None) -> Sequence[Mapping[str, Any]]:
        """Oldest first."""

    def quarantine(self, run: str) -> Sequence[Mapping[str, Any]]:
        """The timesteps that were refused, with their values, oldest first; of each writer the first of each reason."""

    def counts(self, run: str) -> Counts: ...

    def close_abandoned(self, run: str) -> Sequence[Episode]:
        """Marks as `aborted` every episode that has timesteps but no document. Only when no worker runs."""

    def acquire_lease(self, run: str, holder: str, *, seconds: float) -> int:
        """Takes or renews the right to train `run`; 0 while another holder's lease is alive.

        Else the lease's term: a higher one each time that it is taken, the same when it is renewed. It is the server's
        time of the taking, in milliseconds since 1970, so that terms go on rising in another database.
        """

    def release_lease(self, run: str, holder: str) -> None: ...

    def lease_holder(self, run: str) -> str | None:
        """Who may train `run` now; None when nobody's lease is alive."""

    def close(self) -> None: ...
