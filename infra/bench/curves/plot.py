"""A picture of the curves: a panel for each task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from infra.bench.curves.figures import of


def check_path(path: Path) -> None:
    """Raises: FileNotFoundError when there is no folder for it, before an hour went into the curves."""
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"no folder {path.absolute().parent} to write {path.name} in")


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Of each learner the mean over its seeds, and a band of one standard deviation on either side.

    Args:
        result: of the benchmark, or as read from its JSON.
    """
    from matplotlib.figure import Figure

    curves, random = result["curves"], result["random"]
    learners = list(dict.fromkeys(one["learner"] for one in curves))
    figure = Figure(figsize=(5.5 * max(1, len(random)), 4), layout="constrained")
    for axes, (task, nothing) in zip(
        np.atleast_1d(figure.subplots(1, max(1, len(random)))), random.items(), strict=False
    ):
        for learner in learners:
            returns = of(curves, task, learner)
            if len(returns) == 0:
                continue
            steps = next(one["steps"] for one in curves if one["task"] == task)
            mean = returns.mean(axis=0)
            spread = returns.std(axis=0, ddof=1) if len(returns) > 1 else np.zeros_like(mean)
            (line,) = axes.plot(steps, mean, label=f"{learner} ({len(returns)} seeds)")
            axes.fill_between(steps, mean - spread, mean + spread, color=line.get_color(), alpha=0.15, linewidth=0)
        axes.axhline(nothing, color="gray", linestyle=":", label="random actions")
        axes.set(title=task, xlabel="environment steps", ylabel="return of noise-free episodes (sum of rewards)")
    if random and curves:
        figure.axes[0].legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=100)
