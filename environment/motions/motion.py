"""A motion: states of a model, evenly spaced in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class MotionRefused(ValueError):
    """A file that is no motion of the model. Says the file, what was found and what was needed."""


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """What a motion file says, completed to whole states of a model."""

    name: str
    """The file's, without its ending."""
    times_s: NDArray[np.float64]
    """(T,) as in the file, in even steps; where the file has gaps, they are filled."""
    states: NDArray[np.float64]
    """(T, S) in the order of the model's layout, without a target. Of them the file says coordinates and, where it has
    them, speeds, activations and fibre lengths; forces and accelerations are those of muscles without excitation."""
    rate_hz: float
    completed: tuple[str, ...]
    """States that the file does not have; `read.py` says how they are found."""
    ignored: tuple[str, ...]
    """Columns that are no states of the model."""
