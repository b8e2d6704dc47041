"""Deleting episodes, so that a prune which dies at any moment leaves nothing half-deleted that anybody reads.

Of each few episodes first the documents go, then the reset timesteps, then the rest:

- Every reader starts from the document. The other way round it would find an episode with missing steps: a learner
  that follows the log would stop with an error, and `verify` would report gaps.
- Recovery gives a document to a dead writer's newest episode if it has timesteps from the reset on. While all are
  there it would bring the whole episode back, as `aborted`; without the reset it finds a gap at step 0 and deletes the
  rest. A part of an episode never comes back as data.

What a prune that died left behind, the next one deletes (see `leftovers.py`).
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime

from agents.analysis import watermarks
from agents.lease import Lease, RunIsTaken
from agents.replay.backlog import by_age, chunks
from agents.replay.data.leftovers import PRUNE_STARTED, leftovers
from agents.replay.data.needs import learners_from
from agents.replay.data.selection import Progress, unheard
from agents.replay.ids import timestep_id
from agents.replay.log import Log
from agents.replay.runs import Episode

PRUNED = "pruned"
_PROCESS = "prune"
_LEASE_S = 30.0


class StillNeeded(ValueError):
    """A checkpoint could not be resumed without the episodes."""


@dataclass(frozen=True, kw_only=True)
class Which:
    """What to delete: all, what finished before a moment, or all but so many of the newest timesteps."""

    all: bool = False
    before: datetime | None = None
    keep_timesteps: int | None = None
    purposes: tuple[str, ...] = ()
    """Only episodes of these; () means of every purpose."""

    def __post_init__(self) -> None:
        if self.all + (self.before is not None) + (self.keep_timesteps is not None) != 1:
            raise ValueError(f"what to delete: found {self}, needed one of all, before and keep_timesteps")

    def of(self, episodes: Iterable[Episode]) -> list[Episode]:
        """Those to delete, oldest first."""
        asked = by_age([one for one in episodes if not self.purposes or one.start.purpose in self.purposes])
        if self.before is not None:
            return [episode for episode in asked if episode.finished < self.before]
        room = self.keep_timesteps or 0
        for place in range(len(asked) - 1, -1, -1):
            room -= asked[place].length + 1
            if room < 0:
                return asked[: place + 1]
        return []


@dataclass(frozen=True, slots=True)
class Plan:
    """What a prune would delete."""

    run: str
    episodes: Sequence[Episode]
    kept: int
    """Episodes that stay."""
    leftovers: Sequence[int]
    """Episodes without a document whose timesteps go too."""
    stranded: Sequence[int]
    """Of the episodes, those without which a newest checkpoint can not be resumed."""

    @property
    def timesteps(self) -> int:
        """Of the episodes; leftovers are not counted."""
        return sum(episode.length + 1 for episode in self.episodes)

    def text(self) -> str:
        """What it would do, in a few lines."""
        lines = [
            f"run {self.run}: {len(self.episodes):,} episodes with {self.timesteps:,} timesteps to delete, "
            f"{self.kept:,} episodes stay"
        ]
        if self.episodes:
            lines.append(f"finished from {self.episodes[0].finished:%F %T} to {self.episodes[-1].finished:%F %T} UTC")
        if self.leftovers:
            lines.append(f"also the timesteps of {len(self.leftovers):,} episodes that never got, or lost, a document")
        if self.stranded:
            lines.append(f"the newest checkpoint needs {len(self.stranded):,} of them: no learner could resume it")
        return "\n".join(lines)


def plan(replay: Log, run: str, which: Which, needed: Collection[int] = ()) -> Plan:
    """What would be deleted now. `needed`: ids of episodes that the newest checkpoints need.

    Raises: KeyError naming the runs that exist.
    """
    replay.run(run)
    stored = replay.episodes_after(run, {})
    chosen = which.of(stored)
    return Plan(
        run=run,
        episodes=chosen,
        kept=len(stored) - len(chosen),
        leftovers=leftovers(replay, run),
        stranded=[episode.id for episode in chosen if episode.id in needed],
    )


def carry_out(replay: Log, plan: Plan, *, strand: bool = False, progress: Progress = unheard) -> None:
    """Deletes what was planned, holding the leases of all that learn from the run. No import into it may be going on.

    Args:
        strand: Also what a checkpoint needs.

    Raises: RunIsTaken while a learner holds the run; StillNeeded.
    """
    if plan.stranded and not strand:
        raise StillNeeded(
            f"{len(plan.stranded)} of these episodes of run {plan.run!r} are needed to resume the newest checkpoint; "
            "keep more, or say --strand-checkpoint: no learner can go on from it then"
        )
    with _leases(replay, plan.run) as leases:
        newest = sorted(watermarks(plan.episodes).items())
        replay.event(plan.run, _PROCESS, PRUNE_STARTED, episodes=len(plan.episodes), newest=newest)
        for id in plan.leftovers:
            _delete_timesteps(replay, id, id)
        done = 0
        for chunk in chunks(sorted(plan.episodes, key=lambda episode: episode.id)):
            for lease in leases:
                lease.check()
            delete(replay, chunk)
            done += sum(episode.length + 1 for episode in chunk)
            progress(done, plan.timesteps)
        facts = {"episodes": len(plan.episodes), "timesteps": plan.timesteps, "leftovers": len(plan.leftovers)}
        replay.event(plan.run, _PROCESS, PRUNED, **facts)


@contextmanager
def _leases(replay: Log, run: str) -> Iterator[list[Lease]]:
    """Keeps learners that read the run from starting. Raises: RunIsTaken when one runs already."""
    readers = learners_from(replay, run)
    for reader in readers:
        trainer = replay.lease_holder(reader)
        if trainer is not None:
            raise RunIsTaken(
                f"run {reader!r}, which learns from {run!r}, is held by {trainer}; stop that learner first"
            )
    holder = f"{_PROCESS}:{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    with ExitStack() as taken:
        leases = []
        for reader in readers:
            lease = Lease(replay, reader, holder, seconds=_LEASE_S)
            lease.take()
            taken.callback(lease.release)
            leases.append(lease)
        yield leases


def delete(replay: Log, episodes: Sequence[Episode]) -> None:
    """Some episodes, in the order that is explained above."""
    replay.delete_episodes([episode.id for episode in episodes])
    replay.delete_timesteps([timestep_id(episode.id, 0) for episode in episodes])
    for first, last in _ranges(sorted(episode.id for episode in episodes)):
        _delete_timesteps(replay, first, last)


def _ranges(ids: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each stretch of consecutive ids."""
    ends = [place for place in range(len(ids)) if place + 1 == len(ids) or ids[place + 1] != ids[place] + 1]
    begins = [0, *(end + 1 for end in ends)]
    return [(ids[begin], ids[end]) for begin, end in zip(begins, ends, strict=False)]


def _delete_timesteps(replay: Log, first: int, last: int) -> None:
    """All of these episodes, those beyond an episode's end too."""
    replay.delete_between(timestep_id(first, 0), timestep_id(last + 1, 0) - 1)
