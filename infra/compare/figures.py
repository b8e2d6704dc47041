"""What runs came to within a budget, run by run and group by group."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from infra.compare.groups import Curves
from infra.report.curve import Curve, Point

LATE = 0.1
"""Share of the budget, at its end, whose versions count together: neighbouring versions differ by hundreds."""
_HEADS = (
    "group",
    "runs",
    "score",
    "of each run",
    "fell",
    "best, confirmed",
    "beat standing at",
    "minutes",
    "core-hours",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run at the end of the budget."""

    score: float
    """Mean over the versions that were published in the last tenth of the budget; the last one's, if none was."""
    fall_rate: float
    """Of the same versions."""
    versions: int
    """So many."""
    best: float | None
    """The highest confirmed mean until then; None when none was confirmed."""
    beat_standing_at: int | None
    """Updates of the first version with a confirmed mean above that of a body that only stands; None before that, and
    where nobody scored standing. When a run begins to walk differs more between runs than what they come to."""
    updates: int
    timesteps: int
    wall_s: float
    processor_s: float | None
    """Of the last version within the budget, as the two above."""


def within(curve: Curve, updates: int | None) -> list[Point]:
    """The versions with at most so many updates; None for all."""
    return [point for point in curve.points if updates is None or point.updates <= updates]


def outcome(curve: Curve, updates: int | None) -> Outcome | None:
    """Of the versions with at most so many updates; None for all of them. None when there is no such version."""
    counted = within(curve, updates)
    if not counted:
        return None
    last = counted[-1]
    budget = last.updates if updates is None else updates
    late = [point for point in counted if point.updates > (1.0 - LATE) * budget] or [last]
    return Outcome(
        score=statistics.fmean(point.mean for point in late),
        fall_rate=statistics.fmean(point.fall_rate for point in late),
        versions=len(late),
        best=last.best,
        beat_standing_at=_beat_standing_at(curve, counted),
        updates=last.updates,
        timesteps=last.timesteps,
        wall_s=last.wall_s,
        processor_s=last.processor_s,
    )


def _beat_standing_at(curve: Curve, counted: Sequence[Point]) -> int | None:
    standing = curve.baselines.get("standing")
    if standing is None:
        return None
    return next(
        (one.updates for one in counted if one.confirmed is not None and one.confirmed > standing["mean"]), None
    )


def table(curves: Curves, updates: int | None) -> str:
    """One line a group: its runs' figures side by side, and their mean."""
    lines = [_HEADS, *(_line(label, [outcome(curve, updates) for curve in runs]) for label, runs in curves.items())]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def document(curves: Curves, updates: int | None) -> dict[str, Any]:
    """For JSON."""
    found = {label: [outcome(curve, updates) for curve in runs] for label, runs in curves.items()}
    (first, *_), *_ = curves.values()
    return {
        "updates": updates,
        "physics": first.physics,
        "reference": first.reference,
        "seeds": list(first.seeds),
        "groups": {label: [None if one is None else asdict(one) for one in runs] for label, runs in found.items()},
    }


def _line(label: str, found: Sequence[Outcome | None]) -> tuple[str, ...]:
    runs = [one for one in found if one is not None]
    if not runs:
        return (label, f"0 of {len(found)}", *("-",) * (len(_HEADS) - 2))
    scores, bests = [one.score for one in runs], [one.best for one in runs if one.best is not None]
    used = [one.processor_s for one in runs if one.processor_s is not None]
    return (
        label,
        f"{len(runs)}" + (f" of {len(found)}" if len(runs) < len(found) else ""),
        f"{statistics.fmean(scores):,.0f}" + (f" ± {statistics.stdev(scores):,.0f}" if len(scores) > 1 else ""),
        ", ".join(f"{score:,.0f}" for score in scores),
        f"{statistics.fmean(one.fall_rate for one in runs):.0%}",
        ", ".join(f"{best:,.0f}" for best in bests) or "-",
        ", ".join("-" if one.beat_standing_at is None else f"{one.beat_standing_at:,}" for one in runs),
        f"{statistics.fmean(one.wall_s for one in runs) / 60:.0f}",
        f"{statistics.fmean(used) / 3600:.2f}" if len(used) == len(runs) else "-",
    )


def places(points: Sequence[Point]) -> Mapping[str, list[float] | None]:
    """Where on each axis the versions lie; None where it is not known."""
    used = [point.processor_s for point in points]
    return {
        "wall-clock, minutes": [point.wall_s / 60 for point in points],
        "timesteps": [float(point.timesteps) for point in points],
        "core-hours": None if None in used else [seconds / 3600 for seconds in used if seconds is not None],
    }
