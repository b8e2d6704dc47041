"""The learning curve as a picture: scores and falls, against the clock, the data and the processor time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.report.curve import Curve, Point

_HOUR_S = 3600.0
_MINUTES_UP_TO_S = 3 * _HOUR_S
_LINES = {
    "blind_walking": ("blind walking (ideal)", "--"),
    "standing": ("standing (ideal)", "-."),
    "random": ("random", ":"),
}


def plot(curve: Curve, path: Path, title: str) -> None:
    """Draws the curve; panels whose places are not known are left out."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, PercentFormatter

    columns = _columns(curve.points)
    figure = Figure(figsize=(1.5 + 4.5 * len(columns), 7), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(2, len(columns), sharex="col", sharey="row", squeeze=False, height_ratios=(3, 1))
    for (label, places), scores, falls in zip(columns.items(), panels[0], panels[1], strict=True):
        _draw_scores(scores, curve, places)
        falls.plot(places, [point.fall_rate for point in curve.points], ".", color="tab:red")
        falls.set(xlabel=label, ylim=(-0.05, 1.05))
        falls.yaxis.set_major_formatter(PercentFormatter(1.0))
        falls.grid(alpha=0.3)
        falls.set_xlim(left=0.0)
        falls.locator_params(axis="x", nbins=6)
        if label == "timesteps":
            falls.xaxis.set_major_formatter(EngFormatter(sep=""))
    panels[0, 0].set(ylabel=f"score over {len(curve.seeds)} seeds")
    panels[1, 0].set(ylabel="fell")
    panels[0, 0].legend(fontsize=8, loc="best", framealpha=0.8)
    figure.savefig(path, dpi=110)


def _columns(points: Sequence[Point]) -> dict[str, list[float]]:
    """What the panels are drawn against, by its label; (N,) each."""
    minutes = max((point.wall_s for point in points), default=0.0) < _MINUTES_UP_TO_S
    found = {
        f"wall-clock, {'minutes' if minutes else 'hours'}": [p.wall_s / (60.0 if minutes else _HOUR_S) for p in points],
        "timesteps": [float(point.timesteps) for point in points],
    }
    used = [point.processor_s for point in points if point.processor_s is not None]
    if used and len(used) == len(points):
        found["core-hours"] = [seconds / _HOUR_S for seconds in used]
    return found


def _draw_scores(axes: Any, curve: Curve, places: Sequence[float]) -> None:
    points = curve.points
    for place, point in zip(places, points, strict=True):
        if point.worst is not None:
            axes.plot([place, place], [point.worst, point.mean], color="tab:blue", alpha=0.25, linewidth=1)
    worst = [(place, point.worst) for place, point in zip(places, points, strict=True) if point.worst is not None]
    axes.plot(places, [point.mean for point in points], ".", color="tab:blue", label="mean of a version")
    if worst:
        axes.plot(*zip(*worst, strict=True), "_", color="tab:blue", alpha=0.6, label="its worst episode")
    best = [(place, point.best) for place, point in zip(places, points, strict=True) if point.best is not None]
    if best:
        twice = curve.reference != curve.physics
        label = "best so far, confirmed" if twice else "best so far"
        axes.step(*zip(*best, strict=True), where="post", color="black", linewidth=1.5, label=label)
    for name, facts in curve.baselines.items():
        label, style = _LINES[name]
        axes.axhline(float(facts["mean"]), color="gray", linestyle=style, linewidth=1, label=label)
    axes.set_ylim(bottom=min(0.0, *(point.mean for point in points)))
    axes.grid(alpha=0.3)
