"""What the state vector says of places and angles, where the textbook formulas end."""

from __future__ import annotations

import numpy as np
import pytest

from environment.body_model import GROUND, BodyModel, Frame
from tests.environment.hand_made import about_x, about_y, about_z, from_xyz, to_xyz
from tests.environment.native.small_models import (
    Answers,
    X,
    Y,
    Z,
    along,
    body,
    coordinate,
    floating,
    joint,
    model,
    pin,
    random_rows,
)


def gimbal() -> BodyModel:
    """Its coordinates are the angles that the state vector gives."""
    names = ("a", "b", "c")
    turns = [along(axis, name) for axis, name in zip((X, Y, Z), names, strict=True)]
    return model([body("ring")], [joint(GROUND, "ring", [coordinate(name) for name in names], turns=turns)])


def test_angles_are_body_fixed_x_y_z() -> None:
    rng = np.random.default_rng(0)
    q = np.column_stack((rng.uniform(-3, 3, 40), rng.uniform(-1.5, 1.5, 40), rng.uniform(-3, 3, 40)))
    found = Answers(gimbal(), np.hstack((q, np.zeros((40, 3)))))
    np.testing.assert_allclose(found.of("body_pos_rot/ring"), q, atol=1e-13)


def test_angles_beyond_a_quarter_turn_are_those_of_the_same_rotation() -> None:
    q = np.array([0.4, 2.5, -1.0])
    found = Answers(gimbal(), [*q, 0, 0, 0]).of("body_pos_rot/ring")[0]
    turn = about_x(q[0]) @ about_y(q[1]) @ about_z(q[2])
    np.testing.assert_allclose(found, to_xyz(turn), rtol=1e-12)
    assert abs(found[1]) < np.pi / 2


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_where_two_of_the_angles_turn_about_one_axis_the_third_is_zero(sign: float) -> None:
    first, third = 0.7, 0.4
    found = Answers(gimbal(), [first, sign * np.pi / 2, third, 0, 0, 0]).of("body_pos_rot/ring")[0]
    turn = about_x(first) @ about_y(sign * np.pi / 2) @ about_z(third)
    assert found[2] == 0.0
    np.testing.assert_allclose(found[0], first + sign * third, rtol=1e-12)
    np.testing.assert_allclose(from_xyz(found), turn, atol=1e-14)


def test_the_mass_centre_is_that_of_all_bodies_weighed() -> None:
    heavy, light = body("heavy", 3.0, (0.1, 0.2, 0.3)), body("light", 1.0, (-0.5, 0.0, 0.2))
    of = model([heavy, light], [floating("heavy"), pin(Frame("heavy", (0.4, 0, 0)), "light", "q")])
    found = Answers(of, random_rows(14, 8))
    center = np.zeros((8, 3))
    for one in of.bodies:
        angles, place = found.of(f"body_pos_rot/{one.name}"), found.of(f"body_pos/{one.name}")
        turned = np.stack([from_xyz(row) @ one.mass_center_m for row in angles])
        center += one.mass_kg / 4.0 * (place + turned)
    np.testing.assert_allclose(found.of("misc/mass_center_pos"), center, rtol=1e-11, atol=1e-12)


def test_every_number_of_the_layout_is_filled_and_the_layout_has_no_other() -> None:
    of = gimbal()
    found = Answers(of, [0.1, 0.2, 0.3, 1.0, 2.0, 3.0])
    assert found.of("joint_pos", "joint_vel")[0].tolist() == [0.1, 0.2, 0.3, 1.0, 2.0, 3.0]
    np.testing.assert_array_equal(found.of("joint_acc"), found.accelerations)
    assert found.engine.layout.size == 9 + 18 + 9
