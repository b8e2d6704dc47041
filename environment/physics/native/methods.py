"""Adaptive Runge-Kutta methods as coefficients, and the settings of the native engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from environment.physics.native.tables import Floats, Tables


class Method(NamedTuple):
    """An embedded pair whose last stage is the derivative at the step's end, hence the next step's first."""

    stage: Floats
    """(s, s) lower triangle: what each stage's state takes of the earlier slopes; the last row is the result's."""
    error: Floats
    """(s,) what the error estimate takes of the slopes."""
    scale: Floats
    """(2 D + 2 M,) one over the error that each number of the state may have."""
    control: Floats
    """Safety factor, exponent, smallest and largest change of the step, smallest and largest step (s)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Coefficients of an embedded pair."""

    stage: tuple[tuple[float, ...], ...]
    error: tuple[float, ...]
    order: int
    """Of the lower of both results, plus one."""


PAIRS = {
    # Bogacki & Shampine (1989), 'A 3(2) pair of Runge-Kutta formulas'.
    "BogackiShampine32": Pair(
        stage=((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
        error=(-5 / 72, 1 / 12, 1 / 9, -1 / 8),
        order=3,
    ),
    # Dormand & Prince (1980), 'A family of embedded Runge-Kutta formulae'.
    "DormandPrince54": Pair(
        stage=(
            (),
            (1 / 5,),
            (3 / 40, 9 / 40),
            (44 / 45, -56 / 15, 32 / 9),
            (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
            (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
            (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
        ),
        error=(71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
        order=5,
    ),
}


def method(name: str, accuracy: float, tables: Tables) -> Method:
    """A pair for a model at an accuracy: the error in coordinates (rad, m) and activations that a step may make.

    Speeds may be ten times as wrong, fibre lengths a tenth.
    """
    pair = PAIRS[name]
    stages = len(pair.error)
    stage = np.zeros((stages, stages))
    for i, row in enumerate(pair.stage):
        stage[i, : len(row)] = row
    dofs, muscles = len(tables.skeleton.dof_link), len(tables.muscles.max_isometric_force_n)
    allowed = accuracy * np.repeat((1.0, 10.0, 1.0, 0.1), (dofs, dofs, muscles, muscles))
    control = np.array([0.9, -0.5 / pair.order, 0.3, 4.0 if pair.order > 3 else 3.0, 1e-8, 0.01])
    return Method(stage, np.array(pair.error), 1.0 / allowed, control)
