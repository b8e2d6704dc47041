"""Motions that mechanics knows in closed form."""

from __future__ import annotations

import numpy as np

from environment.body_model import GROUND, BodyModel, Frame, SimmSpline, SpringGeneralizedForce
from environment.physics.native.engine import Engine
from environment.physics.native.settings import NativeSettings
from environment.physics.native.splines import pieces
from tests.environment.hand_made import from_xyz
from tests.environment.native.small_models import (
    GRAVITY,
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
    pin,
    random_rows,
)

INERTIA = np.array([[0.5, 0.03, -0.02], [0.03, 0.8, 0.04], [-0.02, 0.04, 0.6]])
BRICK = body("brick", 2.0, (0.1, -0.2, 0.3), (0.5, 0.8, 0.6, 0.03, -0.02, 0.04))
FINE = NativeSettings("DormandPrince54", 1e-11)


def test_a_thrown_body_falls_at_g_and_turns_by_euler_s_equations() -> None:
    found = Answers(model([BRICK], [floating("brick")]), random_rows(12))
    falling = found.of("misc/mass_center_acc")
    np.testing.assert_allclose(falling, np.tile([0.0, -GRAVITY, 0.0], (24, 1)), atol=1e-11)
    groups = (found.of(f"{branch}/brick") for branch in ("body_pos_rot", "body_vel_rot", "body_acc_rot"))
    for angles, omega, alpha in zip(*groups, strict=True):
        inertia = from_xyz(angles) @ INERTIA @ from_xyz(angles).T
        np.testing.assert_allclose(inertia @ alpha, -np.cross(omega, inertia @ omega), atol=1e-11)


def test_velocities_and_accelerations_are_the_derivatives_of_places() -> None:
    of = model([BRICK, body("rod", 1.0, (0.0, -0.3, 0.1))], [floating("brick"), pin("brick", "rod", "elbow")])
    engine = Engine(of, FINE)
    engine.bodies.y[0] = random_rows(14, 1, 0.5, 3)
    engine.bodies.step_size_s[0] = 1e-4
    engine.advance(0.0)
    states = [engine.bodies.state[0].copy()]
    h = 1e-4
    for _ in range(2):
        engine.advance(h)
        states.append(engine.bodies.state[0].copy())
    layout = engine.layout
    for place, rate in (
        ("body_pos", "body_vel"),
        ("body_vel", "body_acc"),
        ("body_vel_rot", "body_acc_rot"),
        ("misc/mass_center_pos", "misc/mass_center_vel"),
        ("misc/mass_center_vel", "misc/mass_center_acc"),
        ("joint_pos", "joint_vel"),
        ("joint_vel", "joint_acc"),
    ):
        change = (states[2] - states[0])[layout.where(place)] / (2 * h)
        np.testing.assert_allclose(change, states[1][layout.where(rate)], atol=1e-5)
    for name in ("brick", "rod"):
        before, now, after = (from_xyz(state[layout.where(f"body_pos_rot/{name}")]) for state in states)
        spin = (after - before) / (2 * h) @ now.T
        omega = states[1][layout.where(f"body_vel_rot/{name}")]
        np.testing.assert_allclose([spin[2, 1], spin[0, 2], spin[1, 0]], omega, atol=1e-5)


PENDULUM = model([body("rod", 3.0, (0.0, -0.4, 0.0), (9.0, 9.0, 0.2, 0.0, 0.0, 0.0))], [pin(GROUND, "rod", "q")])
FREQUENCY = np.sqrt(3.0 * GRAVITY * 0.4 / (0.2 + 3.0 * 0.4**2))


def test_a_pendulum_accelerates_as_in_every_textbook() -> None:
    found = Answers(PENDULUM, random_rows(2))
    np.testing.assert_allclose(found.accelerations[:, 0], -(FREQUENCY**2) * np.sin(found.y[:, 0]), rtol=1e-13)


def test_a_wide_swing_takes_the_time_of_the_elliptic_integral() -> None:
    start = 2.0
    one, other = 1.0, np.cos(start / 2)
    for _ in range(6):
        one, other = (one + other) / 2, np.sqrt(one * other)
    period = 2 * np.pi / FREQUENCY / one
    engine = Engine(PENDULUM, FINE)
    engine.bodies.y[0] = start, 0.0
    engine.bodies.step_size_s[0] = 1e-3
    engine.advance(period)
    np.testing.assert_allclose(engine.bodies.y[0], [start, 0.0], atol=1e-8)
    engine.advance(period / 4)
    assert abs(engine.bodies.y[0, 0]) < 1e-8


def test_a_double_pendulum_accelerates_as_in_every_textbook() -> None:
    m1, m2, l1, c1, c2, i1, i2 = 1.5, 0.7, 0.5, 0.2, 0.3, 0.04, 0.02
    upper = body("upper", m1, (0.0, -c1, 0.0), (1, 1, i1, 0, 0, 0))
    lower = body("lower", m2, (0.0, -c2, 0.0), (1, 1, i2, 0, 0, 0))
    joints = [pin(GROUND, "upper", "q1"), pin(Frame("upper", (0.0, -l1, 0.0)), "lower", "q2")]
    # The first coordinate's force is also known: 2 (0.3 - q1) - 0.5 q1'.
    found = Answers(model([upper, lower], joints, [SpringGeneralizedForce("s", "q1", 2.0, 0.3, 0.5)]), random_rows(4))
    for (q1, q2, v1, v2), measured in zip(found.y, found.accelerations, strict=True):
        off = i2 + m2 * (c2**2 + l1 * c2 * np.cos(q2))
        first = i1 + i2 + m1 * c1**2 + m2 * (l1**2 + c2**2 + 2 * l1 * c2 * np.cos(q2))
        mass = np.array([[first, off], [off, i2 + m2 * c2**2]])
        h = m2 * l1 * c2 * np.sin(q2)
        weight2 = m2 * GRAVITY * c2 * np.sin(q1 + q2)
        weight1 = (m1 * c1 + m2 * l1) * GRAVITY * np.sin(q1) + weight2
        push = np.array([h * (2 * v1 * v2 + v2**2) - weight1 + 2.0 * (0.3 - q1) - 0.5 * v1, -h * v1**2 - weight2])
        np.testing.assert_allclose(measured, np.linalg.solve(mass, push), rtol=1e-11, atol=1e-11)


def test_a_heavy_top_nods_as_lagrange_says_and_keeps_its_two_momenta() -> None:
    mass, height, across, along_spin = 0.8, 0.15, 0.02, 0.005
    top = body("top", mass, (0.0, height, 0.0), (across, along_spin, across, 0, 0, 0))
    names = ("precession", "nutation", "spin")
    turns = [along(axis, name) for axis, name in zip((Y, X, Y), names, strict=True)]
    of = model([top], [joint(GROUND, "top", [coordinate(name) for name in names], turns=turns)])
    pivot = across + mass * height**2
    states = random_rows(6) + np.array([0.0, 1.5, 0.0, 0.0, 0.0, 20.0])
    _, angle, _, precession, _, spin = states.T
    axial = along_spin * (spin + precession * np.cos(angle))
    expected = (
        pivot * precession**2 * np.sin(angle) * np.cos(angle)
        - axial * precession * np.sin(angle)
        + mass * GRAVITY * height * np.sin(angle)
    ) / pivot
    np.testing.assert_allclose(Answers(of, states).accelerations[:, 1], expected, rtol=1e-10)

    def momenta_and_energy(y: Array) -> Array:
        _, angle, _, precession, nutation, spin = y
        axial = along_spin * (spin + precession * np.cos(angle))
        vertical = pivot * precession * np.sin(angle) ** 2 + axial * np.cos(angle)
        turning = pivot * (nutation**2 + (precession * np.sin(angle)) ** 2) / 2 + axial**2 / along_spin / 2
        return np.array([axial, vertical, turning + mass * GRAVITY * height * np.cos(angle)])

    engine = Engine(of, FINE)
    engine.bodies.y[0] = 0.3, 0.6, 0.0, 1.0, 0.2, 120.0
    engine.bodies.step_size_s[0] = 1e-3
    before = momenta_and_energy(engine.bodies.y[0].copy())
    engine.advance(1.0)
    assert engine.bodies.y[0, 0] > 1.0
    np.testing.assert_allclose(momenta_and_energy(engine.bodies.y[0]), before, rtol=1e-9)


def test_a_free_body_keeps_its_angular_momentum_and_energy() -> None:
    engine = Engine(model([BRICK], [floating("brick")], gravity=(0.0, 0.0, 0.0)), FINE)
    engine.bodies.y[0] = 0.1, -0.2, 0.3, 1.0, 2.0, 3.0, 0.4, 0.6, 7.0, -1.0, 0.5, 2.0
    engine.bodies.step_size_s[0] = 1e-3

    def invariants() -> Array:
        engine.advance(0.0)
        state, layout = engine.bodies.state[0], engine.layout
        turn = from_xyz(state[layout.where("body_pos_rot/brick")])
        omega = state[layout.where("body_vel_rot/brick")]
        spin = turn @ INERTIA @ turn.T @ omega
        return np.concatenate((spin, [omega @ spin], state[layout.where("misc/mass_center_vel")]))

    before = invariants()
    engine.advance(2.0)
    np.testing.assert_allclose(invariants(), before, atol=1e-8)


KNEE_X = SimmSpline((-2.0, -1.2, -0.4, 0.3, 1.0), (0.0, 0.05, 0.07, 0.02, -0.03))
KNEE_Y = SimmSpline((-2.0, -1.0, 0.0, 0.5), (-0.42, -0.40, -0.39, -0.41))


def knee() -> BodyModel:
    """A thigh on a hinge and a shank that rolls and slides on it."""
    name = "knee"
    moves = [along(X, name, KNEE_X), along(Y, name, KNEE_Y)]
    shank = joint("thigh", "shank", [coordinate(name)], turns=[along(Z, name)], moves=moves)
    thigh = body("thigh", 5.0, (0.02, -0.2, 0.0), (1, 1, 0.1, 0, 0, 0))
    return model(
        [thigh, body("shank", 3.0, (0.01, -0.25, 0.0), (1, 1, 0.05, 0, 0, 0))], [pin(GROUND, "thigh", "hip"), shank]
    )


def test_a_knee_that_slides_as_it_bends_obeys_lagrange_s_equations() -> None:
    def curve(spline: SimmSpline, q: float) -> tuple[float, float]:
        """(value, slope)"""
        origin, y, b, c, d = pieces(spline.x, spline.y)[np.searchsorted(spline.x, q)]
        t = q - origin
        return y + b * t + c * t**2 + d * t**3, b + 2 * c * t + 3 * d * t**2

    def lagrangian(q: Array, v: Array) -> float:
        turn = np.array([[np.cos(q[0]), -np.sin(q[0])], [np.sin(q[0]), np.cos(q[0])]])
        bend = np.array([[np.cos(q[1]), -np.sin(q[1])], [np.sin(q[1]), np.cos(q[1])]])
        quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
        thigh = turn @ [0.02, -0.2]
        arm = bend @ [0.01, -0.25]
        slide, slope = np.array([curve(one, q[1]) for one in (KNEE_X, KNEE_Y)]).T
        place, rate = slide + arm, slope + quarter @ arm
        shank = turn @ place
        thigh_v = quarter @ thigh * v[0]
        shank_v = quarter @ shank * v[0] + turn @ rate * v[1]
        kinetic = 2.5 * thigh_v @ thigh_v + 1.5 * shank_v @ shank_v + 0.05 * v[0] ** 2 + 0.025 * (v[0] + v[1]) ** 2
        return float(kinetic - GRAVITY * (5.0 * thigh[1] + 3.0 * shank[1]))

    rng = np.random.default_rng(5)
    states = np.column_stack((rng.normal(0, 1, 12), rng.uniform(-1.9, 0.4, 12), rng.normal(0, 2, (12, 2))))
    found = Answers(knee(), states)
    h, unit = 1e-4, np.eye(2)

    def momentum(q: Array, v: Array) -> Array:
        # The Lagrangian is quadratic in the speeds: this difference is exact.
        return np.array([(lagrangian(q, v + e) - lagrangian(q, v - e)) / 2 for e in unit])

    for y, measured in zip(found.y, found.accelerations, strict=True):
        q, v = y[:2], y[2:]
        mass = np.column_stack([momentum(q, e) for e in unit])
        along_q = np.array([(lagrangian(q + h * e, v) - lagrangian(q - h * e, v)) / (2 * h) for e in unit])
        momentum_rate = (momentum(q + h * v, v) - momentum(q - h * v, v)) / (2 * h)
        np.testing.assert_allclose(measured, np.linalg.solve(mass, along_q - momentum_rate), rtol=1e-5, atol=1e-5)
