"""Motion files in even steps of time: what lies between two rows that are apart is interpolated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from environment.motions.motion import MotionRefused
from environment.motions.table import Table

LONGEST_GAP_S = 0.25
"""Between two rows. Across more a walker changes its leg."""
_TOLERANCE = 0.01
"""Of a step, by which a row may come too early or too late."""


def even(path: Path, table: Table) -> tuple[Table, float]:
    """The table in steps of its median one, and its rate in Hz. Rows of an even table stay as they are; else all values
    are on the straight lines between the file's.

    Raises: MotionRefused: times that do not increase, or a gap that is too long.
    """
    times_s = table.times_s
    if len(times_s) < 2:
        raise MotionRefused(f"motion {path} has {len(times_s)} rows; needed at least 2")
    steps_s = np.diff(times_s)
    bad = ~((steps_s > 0.0) & (steps_s <= LONGEST_GAP_S))
    if bad.any():
        row = int(np.argmax(bad)) + 1
        raise MotionRefused(
            f"motion {path}, row {row}: {times_s[row]:g} s after {times_s[row - 1]:g} s; needed rising times, at most "
            f"{LONGEST_GAP_S} s apart"
        )
    step_s = float(np.median(steps_s))
    if (np.abs(steps_s - step_s) <= _TOLERANCE * step_s).all():
        return table, float((len(times_s) - 1) / (times_s[-1] - times_s[0]))
    rows = round((times_s[-1] - times_s[0]) / step_s) + 1
    evenly_s = times_s[0] + step_s * np.arange(rows)
    values = np.column_stack([np.interp(evenly_s, times_s, column) for column in table.values.T])
    return replace(table, times_s=evenly_s, values=values), 1.0 / step_s
