"""Learning curves of groups of runs in one picture: against the clock, the data, the processor time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.compare.figures import places, within
from infra.compare.groups import Curves
from infra.report.curve import Point

_BASELINES = {"blind_walking": ("blind walking (ideal)", "--"), "standing": ("standing (ideal)", "-.")}


def plot(curves: Curves, path: Path, title: str, updates: int | None = None) -> None:
    """A colour for each group: a dot for each version's mean, a line for each run's best so far.

    Args:
        updates: Later versions are left out; None draws all.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    every = [curve for runs in curves.values() for curve in runs]
    names = [name for name in places(()) if any(places(curve.points)[name] is not None for curve in every)]
    figure = Figure(figsize=(1.5 + 4.5 * len(names), 5.5), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        for number, (label, runs) in enumerate(curves.items()):
            _draw(panel, [within(curve, updates) for curve in runs], name, f"{label} ({len(runs)})", f"C{number % 10}")
        for key, (text, style) in _BASELINES.items():
            if key in every[0].baselines:
                panel.axhline(float(every[0].baselines[key]["mean"]), color="gray", linestyle=style, label=text)
        panel.set(xlabel=name)
        panel.set_xlim(left=0.0)
        panel.grid(alpha=0.3)
        if name == "timesteps":
            panel.xaxis.set_major_formatter(EngFormatter(sep=""))
    panels[0].set_ylim(bottom=0.0)
    panels[0].set_ylabel(f"score over {len(every[0].seeds)} seeds: each version, and the best so far")
    panels[0].legend(fontsize=8, loc="lower right", framealpha=0.8)
    figure.savefig(path, dpi=110)


def _draw(panel: Any, runs: Sequence[Sequence[Point]], name: str, label: str, colour: str) -> None:
    """One group. Runs of which the axis is not known are left out."""
    for points in runs:
        where = places(points)[name]
        if where is None:
            continue
        panel.plot(where, [point.mean for point in points], ".", color=colour, alpha=0.25, markersize=4)
        best = [(place, one.best) for place, one in zip(where, points, strict=True) if one.best is not None]
        if best:
            panel.step(*zip(*best, strict=True), where="post", color=colour, label=label)
            label = "_"
