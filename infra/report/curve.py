"""A run's learning curve: every scored version at its place on the clock, in the data and in processor time."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.confirmation import Facts, best_evaluation, comparable, deciding
from agents.evaluator import EVALUATED, known_baselines
from agents.replay.contract import Replay
from infra.report.timeline import Timeline

BASELINES = ("random", "standing", "blind_walking")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One scored version. Places are those of its publication."""

    version: int
    updates: int
    timesteps: int
    """Collected for training and known to the learner."""
    wall_s: float
    processor_s: float | None
    """None where it was not noted."""
    mean: float
    spread: float
    worst: float | None
    fall_rate: float
    confirmed: float | None
    """Mean on the physics that decides, of a version that was the best when it was scored."""
    best: float | None
    """The highest of these means so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """All scores of a run that can be compared with each other."""

    physics: str
    reference: str
    """Physics that decides what is best; the same as `physics` where nothing is played twice."""
    seeds: tuple[int, ...]
    points: tuple[Point, ...]
    """By publication."""
    best_version: int | None
    baselines: Mapping[str, Mapping[str, Any]]
    """Of `BASELINES` those that were made on these seeds."""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        plain = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        points = [dataclasses.asdict(point) for point in self.points]
        return plain | {"seeds": list(self.seeds), "points": points, "baselines": dict(self.baselines)}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Curve:
        """The opposite of `document`, whatever else it holds. Raises: KeyError, TypeError when it is none."""
        own = {one.name: document[one.name] for one in dataclasses.fields(cls)}
        points = tuple(Point(**point) for point in own["points"])
        return cls(**own | {"seeds": tuple(own["seeds"]), "points": points})


def curve_of(replay: Replay, run: str, timeline: Timeline) -> Curve | None:
    """None while no version has a score."""
    noted: list[Facts] = [event["details"] for event in replay.events(run, EVALUATED)]
    if not noted:
        return None
    # A version that somebody scored once on other seeds is no part of the curve.
    (alike, _), *_ = Counter(map(comparable, noted)).most_common(1)
    evaluations = [facts for facts in noted if comparable(facts) == alike]
    published = {int(event["details"]["version"]): event for event in replay.events(run, "published")}
    best = best_evaluation(evaluations)
    like = evaluations[0]
    return Curve(
        physics=like["physics"],
        reference=like.get("reference", like["physics"]),
        seeds=tuple(like["seeds"]),
        points=tuple(_points(evaluations, published, timeline)),
        best_version=None if best is None else int(best["version"]),
        baselines=known_baselines(replay, run, like["physics"], like["seeds"]) or {},
    )


def _points(
    evaluations: Sequence[Facts], published: Mapping[int, Mapping[str, Any]], timeline: Timeline
) -> Sequence[Point]:
    """Of the versions that say when they were published, each once, with its last score."""
    last = {int(facts["version"]): facts for facts in evaluations if int(facts["version"]) in published}
    points: list[Point] = []
    best: float | None = None
    for version in sorted(last):
        facts, event = last[version], published[version]
        counts = deciding(facts)
        confirmed = None if counts is None else float(counts["mean"])
        best = max((value for value in (best, confirmed) if value is not None), default=None)
        points.append(
            Point(
                version=version,
                updates=int(event["details"]["updates"]),
                timesteps=int(event["details"]["timesteps"]),
                wall_s=timeline.wall_s(event["time"]),
                processor_s=timeline.processor_s(event["time"]),
                mean=float(facts["mean"]),
                spread=float(facts["spread"]),
                worst=min(facts["returns"]) if facts.get("returns") else None,
                fall_rate=float(facts["fall_rate"]),
                confirmed=confirmed,
                best=best,
            )
        )
    return points
