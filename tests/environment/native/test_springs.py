"""Coordinate limits and springs, worked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from environment.body_model import GROUND, BodyModel, CoordinateLimitForce, Force, SpringGeneralizedForce
from tests.environment.native.small_models import Answers, X, along, body, coordinate, joint, model, slider

LIMIT = CoordinateLimitForce("limit", "x", 0.2, 100.0, -0.3, 50.0, 4.0, 0.1)
SPRING = SpringGeneralizedForce("spring", "x", 225.0, 0.1, 3.0)


def sled(*forces: Force) -> BodyModel:
    """One kilogram on a slide: its acceleration is the force."""
    return model([body("sled")], [slider("sled", "x")], forces)


@pytest.mark.parametrize(
    ("q", "speed", "force"),
    [
        (0.0, 7.0, 0.0),
        (0.2, 7.0, 0.0),
        (-0.3, -7.0, 0.0),
        # Half way through the transition half of everything is there.
        (0.25, 0.0, -100 * 0.5 * 0.05),
        (0.25, 2.0, -100 * 0.5 * 0.05 - 4 * 0.5 * 2),
        (0.4, 2.0, -100 * 0.2 - 4 * 2),
        # A quarter: 1/64 (10 - 15/4 + 6/16) = 0.103515625.
        (-0.325, -2.0, 50 * 0.103515625 * 0.025 + 4 * 0.103515625 * 2),
        (-0.9, 0.5, 50 * 0.6 - 4 * 0.5),
    ],
)
def test_a_limit_pushes_back_and_damps_beyond_its_ends(q: float, speed: float, force: float) -> None:
    found = Answers(sled(LIMIT), [q, speed])
    np.testing.assert_allclose(found.accelerations[0], [force], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.of("forces/limit/limit")[0], [force], rtol=1e-12, atol=1e-14)


def test_a_limit_stores_the_work_done_against_it() -> None:
    q = np.linspace(-1.0, 1.0, 20_001)
    found = Answers(sled(LIMIT), np.column_stack((q, np.zeros_like(q))))
    force, energy = found.accelerations[:, 0], found.of("forces/limit/PotentialEnergy")[:, 0]
    assert energy[(q > -0.3) & (q < 0.2)].max() == 0.0
    work = np.concatenate(([0.0], np.cumsum(-(force[1:] + force[:-1]) / 2 * np.diff(q))))
    np.testing.assert_allclose(energy - energy[0], work, atol=1e-6)


def test_a_spring_pulls_to_its_rest_and_damps() -> None:
    found = Answers(sled(SPRING), [0.3, -2.0])
    np.testing.assert_allclose(found.accelerations[0], [225 * -0.2 + 3 * 2], rtol=1e-13)
    np.testing.assert_allclose(found.of("forces/spring")[0], [225 * -0.2 + 3 * 2], rtol=1e-13)


def test_several_forces_on_one_coordinate_add_up() -> None:
    y = [0.4, 2.0]
    apart = [Answers(sled(one), y).accelerations[0, 0] for one in (LIMIT, SPRING)]
    again = replace(LIMIT, name="another")
    np.testing.assert_allclose(Answers(sled(LIMIT, SPRING, again), y).accelerations[0, 0], 2 * apart[0] + apart[1])


def test_forces_of_a_locked_coordinate_are_reported_and_move_nothing() -> None:
    names = [coordinate("x", 0.4, locked=True), coordinate("y")]
    both = joint(GROUND, "sled", names, moves=[along(X, "x"), along((0, 1, 0), "y")])
    found = Answers(model([body("sled")], [both], [LIMIT, SPRING]), [0.0, 0.0])
    np.testing.assert_allclose(found.accelerations[0], [-9.80665])
    np.testing.assert_allclose(found.of("forces/limit/limit", "forces/spring")[0], [-20.0, 225 * -0.3], rtol=1e-12)


def test_neighbouring_lanes_beyond_a_limit_change_nothing() -> None:
    y = np.column_stack((np.linspace(-0.5, 0.5, 16), np.linspace(3, -3, 16)))
    together = Answers(sled(LIMIT), y).rates
    assert together.tobytes() == np.vstack([Answers(sled(LIMIT), row).rates for row in y]).tobytes()
