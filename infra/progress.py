"""How a run goes, gathered from where the truth is: episodes from the database, versions from the store, rates and
health from the processes' own status files."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.checkpoints.contract import CheckpointStore
from agents.confirmation import best_evaluation, comparable
from agents.evaluator import BASELINES, EVALUATED, known_baselines
from agents.replay.contract import Replay
from agents.telemetry import read_statuses

_RATE_WINDOW_S = 60.0
"""Longer than an episode takes, which counts when it ends."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at a run."""

    episodes: int
    """In the database; they appear when they have ended."""
    timesteps: int
    """Of those episodes."""
    version: int
    """Newest published checkpoint; 0 before the first."""
    statuses: Mapping[str, Mapping[str, Any]]
    """Each process's own word, by its name."""
    inserts_per_s: float
    """Timesteps of the episodes that ended, over the last seconds."""
    evaluated: Mapping[str, Any] | None
    """The newest evaluation's facts."""

    @property
    def learner(self) -> Mapping[str, Any]:
        """The learner's status; empty before it starts."""
        return self.statuses.get("learner", {})

    @property
    def workers(self) -> dict[str, Mapping[str, Any]]:
        """Statuses of those that act for training."""
        return {name: status for name, status in self.statuses.items() if "timesteps_per_s" in status}


@dataclass
class Observer:
    """Looks at one run, again and again. Reads only what is new: to count all timesteps anew at every look took a
    fifth of a core when there were some millions.
    """

    run: str
    replay: Replay
    store: CheckpointStore
    folder: Path
    _marks: dict[int, int] = field(default_factory=dict)
    """Writer -> newest episode counted."""
    _episodes: int = 0
    _timesteps: int = 0
    _seen: list[tuple[float, int]] = field(default_factory=list)

    def look(self) -> Snapshot:
        """Raises: ReplayUnavailable or CheckpointStoreUnavailable while a service is away."""
        self._count()
        now_s = time.monotonic()
        self._seen = [(when_s, count) for when_s, count in self._seen if now_s - when_s <= _RATE_WINDOW_S]
        self._seen.append((now_s, self._timesteps))
        first_s, first = self._seen[0]
        rate = (self._timesteps - first) / (now_s - first_s) if now_s > first_s else 0.0
        version = self.store.latest(self.run)
        evaluations = self.replay.events(self.run, EVALUATED)
        return Snapshot(
            episodes=self._episodes,
            timesteps=self._timesteps,
            version=version.number if version else 0,
            statuses=read_statuses(self.folder),
            inserts_per_s=rate,
            evaluated=evaluations[-1]["details"] if evaluations else None,
        )

    def _count(self) -> None:
        for episode in self.replay.episodes_after(self.run, self._marks):
            self._marks[episode.writer] = episode.id
            self._episodes += 1
            self._timesteps += episode.length + 1


def first_use_s(replay: Replay, run: str) -> float | None:
    """Median seconds from a version's publication to an episode with it, over all changes of policy of all workers.

    A worker looks between two episodes. Its start, when it takes what is there already, does not count.
    """
    changes = [event["details"] for event in replay.events(run, "policy_refreshed")]
    ages_s = [float(change["age_s"]) for change in changes if change["before"] > 0 and "age_s" in change]
    return statistics.median(ages_s) if ages_s else None


def evaluation_facts(replay: Replay, run: str) -> dict[str, Any]:
    """The newest and the best evaluation of a run, and the baselines on the same seeds; None where there is none."""
    evaluations: Sequence[Mapping[str, Any]] = [event["details"] for event in replay.events(run, EVALUATED)]
    newest = evaluations[-1] if evaluations else None
    if newest:
        baselines = known_baselines(replay, run, newest["physics"], newest["seeds"])
    else:
        noted = replay.events(run, BASELINES)
        baselines = dict(noted[-1]["details"]) if noted else None
    # Scores of different simulators or seeds are not comparable.
    best = best_evaluation(facts for facts in evaluations if comparable(facts) == comparable(evaluations[-1]))
    return {
        "evaluations": len(evaluations),
        "newest": dict(newest) if newest else None,
        "best": dict(best) if best else None,
        "baselines": baselines,
    }
