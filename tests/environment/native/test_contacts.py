"""Spheres on the floor: forces worked by hand, and Simbody's rule that leaves some of them out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import ArrayLike

from environment.body_model import GROUND, BodyModel, HalfSpace, HuntCrossleyForce, Sphere
from tests.environment.hand_made import from_xyz
from tests.environment.native.small_models import (
    Answers,
    Array,
    X,
    Y,
    Z,
    along,
    body,
    coordinate,
    floating,
    joint,
    model,
)

RADIUS = 0.5
# Two equal materials: half of 8e6^(2/3) = 40,000, so 20,000; at 0.4 mm sqrt(0.5 · 20,000 · 0.0004) = 2.
DEPTH, PUSH_N = 4e-4, 4 / 3 * 20_000 * 4e-4 * 2


def contact(name: str, spheres: Sequence[Sphere], height_m: float = 0.0) -> HuntCrossleyForce:
    floor = HalfSpace("floor", height_m)
    return HuntCrossleyForce(
        name,
        (floor, *spheres),
        stiffness=8e6,
        dissipation_s_per_m=2.0,
        static_friction=0.9,
        dynamic_friction=0.6,
        viscous_friction=0.5,
        transition_velocity_m_per_s=0.1,
    )


def ball(height_m: float = 0.0) -> BodyModel:
    """One sphere about the origin of a floating body."""
    return model(
        [body("ball")], [floating("ball")], [contact("touch", [Sphere("s", "ball", (0, 0, 0), RADIUS)], height_m)]
    )


def moving(depth_m: float, v: Sequence[float], omega: Sequence[float] = (0, 0, 0), height_m: float = 0.0) -> Array:
    """(12,) state of the ball; its coordinates turn about z, x, y."""
    place = (0.0, 0.0, 0.0, 3.0, RADIUS - depth_m + height_m, -2.0)
    return np.array([*place, omega[2], omega[0], omega[1], *v])


def forces(of: BodyModel, y: ArrayLike) -> Array:
    """(n, 6) force and torque on the ball."""
    return Answers(of, y).of(*(f"forces/touch/ball.{kind}.{k}" for kind in ("force", "torque") for k in "XYZ"))


def test_a_resting_sphere_is_pushed_as_the_three_halves_power_of_its_depth() -> None:
    depths = np.array([0.0, -1e-3, DEPTH, 4 * DEPTH])
    found = forces(ball(), [moving(depth, (0, 0, 0)) for depth in depths])
    expected = np.zeros((4, 6))
    expected[2:, 1] = PUSH_N, 8 * PUSH_N
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize(("up", "factor"), [(-0.1, 1.3), (0.1, 0.7), (0.33, 0.01), (0.4, 0.0), (5.0, 0.0), (-1.0, 4.0)])
def test_sinking_adds_to_the_push_and_rising_takes_from_it_but_never_pulls(up: float, factor: float) -> None:
    found = forces(ball(), moving(DEPTH, (0, up, 0)))
    np.testing.assert_allclose(found[0], [0, PUSH_N * factor, 0, 0, 0, 0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("slip", "friction"),
    [(0.0, 0.0), (1e-6, 1.25e-5), (0.05, 0.565), (0.1, 0.95), (0.2, 0.82), (1.0, 0.6 + 0.6 / 101 + 0.5)],
)
def test_friction_at_every_slip_speed(slip: float, friction: float) -> None:
    # Along (0.6, -0.8). E.g. at half of the transition: 0.5 (0.6 + 0.6 / 1.25) + 0.5 · 0.05.
    found = forces(ball(), moving(DEPTH, (0.6 * slip, 0.0, -0.8 * slip)))[0, :3]
    expected = PUSH_N * np.array([-0.6 * friction, 1.0, 0.8 * friction])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_rolling_sphere_slips_where_it_touches_half_way_down() -> None:
    omega = np.array([0.02, -0.3, -0.4])
    v = np.array([0.1, -0.02, 0.03])
    arm = np.array([0.0, -(RADIUS - DEPTH / 2), 0.0])
    at_floor = v + np.cross(omega, arm)
    slip = float(np.hypot(at_floor[0], at_floor[2]))
    s = slip / 0.1
    normal = PUSH_N * (1 - 3.0 * at_floor[1])
    friction = min(s, 1) * (0.6 + 0.6 / (1 + s**2)) + 0.5 * slip
    force = np.array([-friction * normal * at_floor[0] / slip, normal, -friction * normal * at_floor[2] / slip])
    found = forces(ball(), moving(DEPTH, v.tolist(), omega.tolist()))[0]
    np.testing.assert_allclose(found, [*force, *np.cross(arm, force)], rtol=1e-9, atol=1e-9)


def test_the_floor_gets_the_opposite_and_the_body_is_moved_by_it() -> None:
    found = Answers(ball(), moving(DEPTH, (0.2, -0.1, 0.1), (1, 2, 3)))
    on_ball = found.of(*(f"forces/touch/ball.force.{k}" for k in "XYZ"))[0]
    on_floor = found.of(*(f"forces/touch/ground.{kind}.{k}" for kind in ("force", "torque") for k in "XYZ"))[0]
    np.testing.assert_allclose(on_floor[:3], -on_ball)
    np.testing.assert_allclose(on_floor[3:], np.cross([3.0, -DEPTH / 2, -2.0], -on_ball), rtol=1e-10)
    np.testing.assert_allclose(found.of("misc/mass_center_acc")[0], on_ball + np.array([0, -9.80665, 0]), rtol=1e-10)
    arm = np.array([0.0, -(RADIUS - DEPTH / 2), 0.0])
    np.testing.assert_allclose(found.of("body_acc_rot/ball")[0], np.cross(arm, on_ball), rtol=1e-9)


@pytest.mark.parametrize("height_m", [0.7, -1.3])
def test_a_floor_at_another_height_pushes_alike(height_m: float) -> None:
    flat = moving(DEPTH, (0.2, -0.1, 0.1), (1, 2, 3))
    raised = moving(DEPTH, (0.2, -0.1, 0.1), (1, 2, 3), height_m)
    np.testing.assert_allclose(forces(ball(height_m), raised), forces(ball(), flat), rtol=1e-9)


def test_an_off_centre_sphere_turns_with_its_body() -> None:
    center = np.array([0.3, -0.2, 0.1])
    of = model([body("ball")], [floating("ball")], [contact("touch", [Sphere("s", "ball", tuple(center), RADIUS)])])
    y = np.array([0.4, -0.3, 0.9, 0, 0, 0, 0, 0, 0, 0, 0, 0.0])
    angles = Answers(of, y).of("body_pos_rot/ball")[0]
    arm = from_xyz(angles) @ center
    y[4] = RADIUS - DEPTH - arm[1]
    arm[1] = -(y[4] + DEPTH / 2)
    expected = [0, PUSH_N, 0, *np.cross(arm, [0, PUSH_N, 0])]
    np.testing.assert_allclose(forces(of, y)[0], expected, rtol=1e-9, atol=1e-9)


def balls(*contacts: Sequence[int]) -> BodyModel:
    """Balls that only move along x, y and z, and which of them each contact force is about."""
    number = 1 + max(i for one in contacts for i in one)
    joints = []
    for i in range(number):
        names = [f"{i}{k}" for k in "xyz"]
        moves = [along(direction, name) for direction, name in zip((X, Y, Z), names, strict=True)]
        joints.append(joint(GROUND, f"b{i}", [coordinate(name) for name in names], moves=moves))
    return model(
        [body(f"b{i}") for i in range(number)],
        joints,
        [
            contact(f"c{k}", [Sphere(f"s{i}", f"b{i}", (0, 0, 0), RADIUS) for i in one])
            for k, one in enumerate(contacts)
        ],
    )


def pushed(of: BodyModel, places: Sequence[Sequence[float]], up: Sequence[float], *, skip: bool = True) -> list[bool]:
    """Which balls at (x, depth in mm, z) that rise at those speeds get a force."""
    q = [number for x, depth_mm, z in places for number in (x, RADIUS - 1e-3 * depth_mm, z)]
    v = [number for rises in up for number in (0.0, rises, 0.0)]
    found = Answers(of, [*q, *v], skip_contacts=skip)
    on = [
        f"forces/{f.name}/{s.body}.force.Y"
        for f in of.forces
        if isinstance(f, HuntCrossleyForce)
        for s in f.geometry
        if isinstance(s, Sphere)
    ]
    return [bool(force > 0.0) for force in found.of(*on)[0]]


FAST = 5.0


def test_along_x_a_ball_that_lifts_off_takes_the_push_from_those_behind_it() -> None:
    of, places = balls([0, 1, 2, 3]), [(2, 1, 0), (-1, 1, 0), (1, 1, 0), (3, 1, 0)]
    assert pushed(of, places, (0, 0, 0, 0)) == [True] * 4
    assert pushed(of, places, (0, 0, FAST, 0)) == [False, True, False, False]
    assert pushed(of, places, (FAST, 0, 0, 0)) == [False, True, True, False]
    assert pushed(of, places, (0, 0, FAST, FAST)) == [False, True, False, False]


def test_without_the_rule_only_the_balls_that_lift_off_lack_their_push() -> None:
    of, places = balls([0, 1, 2, 3]), [(2, 1, 0), (-1, 1, 0), (1, 1, 0), (3, 1, 0)]
    assert pushed(of, places, (0, 0, FAST, 0), skip=False) == [True, True, False, True]


def test_along_z_they_are_visited_when_they_lie_apart_most_in_z() -> None:
    of, places = balls([0, 1, 2]), [(0.5, 1, 3), (0.1, 1, 1), (0.0, 1, 2)]
    assert pushed(of, places, (0, 0, FAST)) == [False, True, False]


def test_along_y_the_deepest_comes_first() -> None:
    of, places = balls([0, 1, 2]), [(0.1, 1, 0), (0.0, 3, 0.1), (-0.1, 2, 0)]
    assert pushed(of, places, (0, 0, FAST)) == [False, True, False]
    assert pushed(of, places, (FAST, 0, 0)) == [False, True, True]


def test_the_floor_s_own_origin_counts_for_the_axis() -> None:
    # All balls at one place in x, far from the origin: x it is, though they lie apart in y and z only.
    of = balls([0, 1, 2])
    assert pushed(of, [(9, 1, 0), (9, 2, 0.1), (9, 3, -0.1)], (FAST, 0, 0)) == [False, False, False]
    assert pushed(of, [(0, 1, 0), (0, 2, 0.1), (0, 3, -0.1)], (FAST, 0, 0)) == [False, True, True]


# In mm; 1/64 m and its multiples add up without rounding, so that a tie is one.
LOW, MIDDLE, HIGH = 1000 / 64, 2000 / 64, 3000 / 64


def tie(swap_xz: bool) -> list[tuple[float, float, float]]:
    heights = [RADIUS - 1e-3 * depth for depth in (LOW, MIDDLE, HIGH)]
    across = [heights[2], heights[1], heights[0]]
    return [(0.0, d, a) if swap_xz else (a, d, 0.0) for a, d in zip(across, (LOW, MIDDLE, HIGH), strict=True)]


@pytest.mark.parametrize("swap_xz", [False, True], ids=["x and y", "z and y"])
def test_a_tie_goes_to_y(swap_xz: bool) -> None:
    # The third ball is the deepest, so by height it comes before the second one; along the other axis it comes after.
    assert pushed(balls([0, 1, 2]), tie(swap_xz), (0, FAST, 0)) == [False, False, True]


def test_a_tie_of_x_and_z_goes_to_x() -> None:
    places = [(1, 1, 3), (2, 1, 2), (3, 1, 1)]
    assert pushed(balls([0, 1, 2]), places, (0, FAST, 0)) == [True, False, False]


def test_balls_at_equal_places_are_visited_in_the_order_of_the_file() -> None:
    of, places = balls([0, 1, 2]), [(2, 1, 0), (2, 1, 0.1), (2, 1, 0.2)]
    assert pushed(of, places, (0, FAST, 0)) == [True, False, False]


def test_a_ball_above_the_floor_is_passed_over() -> None:
    of, places = balls([0, 1, 2]), [(1, -1, 0), (2, 1, 0), (3, 1, 0)]
    assert pushed(of, places, (FAST, 0, 0)) == [False, True, True]


def test_the_rule_stays_within_one_force() -> None:
    of, places = balls([0, 1], [2, 3]), [(1, 1, 0), (2, 1, 0), (3, 1, 0), (4, 1, 0)]
    assert pushed(of, places, (FAST, 0, 0, 0)) == [False, False, True, True]


def test_a_skipped_ball_gets_no_friction_and_moves_as_without_a_floor() -> None:
    y = np.array([1, RADIUS - 1e-3, 0, 2, RADIUS - 1e-3, 0, 0, FAST, 0, 0.3, -1.0, 0.2])
    found = Answers(balls([0, 1]), y)
    np.testing.assert_allclose(found.accelerations[0], [0, -9.80665, 0, 0, -9.80665, 0])
    assert Answers(balls([0, 1]), y, skip_contacts=False).accelerations[0, 4] > 10.0


def test_neighbouring_lanes_keep_their_pushes() -> None:
    of, rng = balls([0, 1, 2]), np.random.default_rng(0)
    y = np.hstack((rng.uniform(-2, 2, (64, 9)), np.zeros((64, 9))))
    y[:, 1:9:3] = RADIUS - rng.uniform(-1e-3, 2e-3, (64, 3))
    y[:, 10::3] = np.where(rng.random((64, 3)) < 0.3, FAST, 0.0)
    together = Answers(of, y)
    single = np.vstack([Answers(of, one).rates for one in y])
    assert together.rates.tobytes() == single.tobytes()
    assert (together.rates != Answers(of, y, skip_contacts=False).rates).any(axis=1).sum() > 10
