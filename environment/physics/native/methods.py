"""Adaptive Runge-Kutta methods as coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from environment.physics.native.settings import NativeSettings
from environment.physics.native.tables import Floats, Integers, Tables


class Method(NamedTuple):
    """An embedded pair whose last stage is the derivative at the step's end, hence the next step's first."""

    stage: Floats
    """(s, s) lower triangle: what each stage's state takes of the earlier slopes; the last row is the result's."""
    error: Floats
    """(s,) what the error estimate takes of the slopes."""
    scale: Floats
    """(2 D + 2 M,) one over the error that each number of the state may have; see `Bodies.strictness`."""
    control: Floats
    """Safety factor, exponent, smallest and largest change of the step, smallest and largest step (s), and how many
    evaluations of the right-hand side a body may take in one call."""
    simbody: Integers
    """(1,) 1: error norm and step sizes as Simbody's integrators have them."""
    counts: Floats
    """(3,) numbers over which Simbody's norm is taken: coordinates, speeds, muscle states; locked ones count."""


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
    # Merson (1957), as Simbody has it: 'An operational method for the study of integration processes'.
    "RungeKuttaMerson": Pair(
        stage=(
            (),
            (1 / 3,),
            (1 / 6, 1 / 6),
            (1 / 8, 0.0, 3 / 8),
            (1 / 2, 0.0, -3 / 2, 2.0),
            (1 / 6, 0.0, 0.0, 2 / 3, 1 / 6),
        ),
        error=(-1 / 15, 0.0, 3 / 10, -4 / 15, 1 / 30, 0.0),
        order=4,
    ),
}


# A hundred to a thousand are usual in a control step. A body that flies apart takes ever shorter steps without failing;
# one that starts deep in the floor needs half a million.
MOST_EVALUATIONS = 1_000_000


def method(settings: NativeSettings, tables: Tables) -> Method:
    """A pair for a model. `accuracy` is the error in coordinates (rad, m) and activations that a step may make; speeds
    may be ten times as wrong, fibre lengths a tenth. `as_simbody` it is the accuracy of Simbody's integrators.
    """
    pair = PAIRS[settings.integrator]
    stages = len(pair.error)
    stage = np.zeros((stages, stages))
    for i, row in enumerate(pair.stage):
        stage[i, : len(row)] = row
    dofs, muscles = len(tables.skeleton.dof_link), len(tables.muscles.max_isometric_force_n)
    coordinates = len(tables.records.coordinate_dof)
    weights = (1.0, 1.0, 1.0, 1.0) if settings.as_simbody else (1.0, 10.0, 1.0, 0.1)
    allowed = settings.accuracy * np.repeat(weights, (dofs, dofs, muscles, muscles))
    least, most = (0.1, 5.0) if settings.as_simbody else (0.3, 4.0 if pair.order > 3 else 3.0)
    return Method(
        stage=stage,
        error=np.array(pair.error),
        scale=1.0 / allowed,
        control=np.array([0.9, -0.5 / pair.order, least, most, 1e-8, 0.01, MOST_EVALUATIONS]),
        simbody=np.array([settings.as_simbody], np.int64),
        counts=np.array([coordinates, coordinates, 2 * muscles], float),
    )
