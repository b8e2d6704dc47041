"""What `python -m agents find-lr` shows of its curves: a table, a document, a plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.find_lr import HIGHEST, LOWEST, Curve

_ROWS = 13
"""Of a table: two to a power of ten."""
_MEASURE = {"critic": "loss", "actor": "-value"}


def table(curve: Curve) -> str:
    """The smoothed curve at evenly spread rates, and what it suggests."""
    lines = [f"{curve.network}: {len(curve.rate)} points", f"  {'rate':>8}  {_MEASURE[curve.network]:>12}"]
    smoothed = curve.smoothed
    for rate in np.geomspace(LOWEST, HIGHEST, _ROWS):
        if curve.rate and rate <= curve.rate[-1] * 1.01:
            nearest = int(np.abs(np.log(np.array(curve.rate) / rate)).argmin())
            lines.append(f"  {rate:8.1e}  {smoothed[nearest]:12.5g}")
    return "\n".join([*lines, suggestion(curve)])


def suggestion(curve: Curve) -> str:
    """One sentence."""
    setting = f"algorithm.settings.{curve.network}_lr"
    found = curve.suggestion
    if found is None:
        return f"no suggestion: nothing fell at any rate; the run has {setting} = {curve.configured:g}"
    return f"suggested: {setting} = {found:.1e}; the run has {curve.configured:g}"


def document(run: str, curves: Sequence[Curve]) -> dict[str, Any]:
    """For JSON."""
    return {"run": run, "curves": [curve.document() for curve in curves]}


def plot(run: str, curves: Sequence[Curve], path: Path) -> None:
    """A picture with one panel for each curve."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6 * len(curves), 4), layout="constrained")
    for axes, curve in zip(np.atleast_1d(figure.subplots(1, len(curves))), curves, strict=True):
        axes.plot(curve.rate, curve.loss, alpha=0.3)
        axes.plot(curve.rate, curve.smoothed)
        axes.axvline(curve.configured, color="gray", linestyle=":", label=f"the run's {curve.configured:g}")
        if curve.suggestion is not None:
            axes.axvline(curve.suggestion, color="black", label=f"suggested {curve.suggestion:.1e}")
        # Too large a rate ends many powers of ten above all else.
        axes.set(xscale="log", yscale="log" if min(curve.loss) > 0 else "symlog")
        axes.set(title=f"{run}: {curve.network}", xlabel="learning rate", ylabel=_MEASURE[curve.network])
        axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def write(run: str, curves: Sequence[Curve], json_path: Path | None, plot_path: Path | None) -> None:
    """What was asked for."""
    if json_path is not None:
        json_path.write_text(json.dumps(document(run, curves), indent=2) + "\n")
    if plot_path is not None and all(curve.rate for curve in curves):
        plot(run, curves, plot_path)


def check_paths(*paths: Path | None) -> None:
    """Raises: FileNotFoundError for one in a folder that is not there, before hours went into it."""
    for path in paths:
        if path is not None and not path.absolute().parent.is_dir():
            raise FileNotFoundError(f"no folder {path.absolute().parent} to write {path.name} in")
