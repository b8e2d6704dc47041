"""Thelen's muscle against its equations, written a second time number by number."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from environment.body_model import GROUND, Thelen2003Muscle
from environment.osim_file import read_model
from environment.physics.models import model_path
from environment.physics.native.engine import Engine
from environment.physics.native.settings import NativeSettings
from tests.environment.native.small_models import Answers, Array, between, body, model, muscle, slider

MASS_KG = 2.0
PATH = between(GROUND, "load")
MUSCLES = (
    muscle("plain", PATH),
    muscle("pennate", PATH, pennation_angle_rad=0.4, optimal_fiber_length_m=0.08, tendon_slack_length_m=0.25),
    muscle("arm", PATH, af=0.3, flen=1.8, kshape_active=0.5, kshape_passive=4.0, fmax_muscle_strain=0.5),
    muscle("slow", PATH, activation_time_s=0.03, deactivation_time_s=0.1, max_contraction_velocity_per_s=8.0),
)
# One mass on a slide, pulled by all of them: the coordinate is the length of their paths.
LOADED = model([body("load", MASS_KG)], [slider("load", "x")], MUSCLES)


def slope_of_exponential(x: float, shape: float) -> float:
    """0 at 0, 1 at 1, the steeper the larger."""
    return (math.exp(shape * x) - 1) / (math.exp(shape) - 1)


def tendon(m: Thelen2003Muscle, strain: float) -> float:
    e0, e3 = m.fmax_tendon_strain, math.exp(3.0)
    toe = 99 * e0 * e3 / (166 * e3 - 67)
    if strain <= 0:
        return 0.0
    if strain <= toe:
        return 0.33 * slope_of_exponential(strain / toe, 3.0)
    return 0.33 + 0.67 / (e0 - toe) * (strain - toe)


def pace(m: Thelen2003Muscle, force: float, active: float, a: float) -> float:
    """Fibre velocity over the largest one."""

    def curve(f: float) -> float:
        if f <= active:
            b = active + f / m.af
        else:
            b = (2 + 2 / m.af) * (active * m.flen - f) / (m.flen - 1)
        return (0.25 + 0.75 * a) * (f - active) / b

    end = m.fv_linear_extrapolation_threshold * active * m.flen
    if 0 <= force <= end:
        return curve(force)
    edge = 0.0 if force < 0 else end
    h = 2e-4 * active
    slope = (8 * (curve(edge + h) - curve(edge - h)) - curve(edge + 2 * h) + curve(edge - 2 * h)) / (12 * h)
    return curve(edge) + slope * (force - edge)


def by_hand(m: Thelen2003Muscle, path_m: float, a: float, fiber_m: float, e: float) -> tuple[float, ...]:
    """(activation rate, fibre velocity m/s, tendon force N, force along the fibre N, fibre length m)"""
    held = min(max(a, m.minimum_activation), 1.0)
    if e > held:
        rate = (e - held) / (m.activation_time_s * (0.5 + 1.5 * held))
    else:
        rate = (e - held) / (m.deactivation_time_s / (0.5 + 1.5 * held))
    height = m.optimal_fiber_length_m * math.sin(m.pennation_angle_rad)
    shortest = height / math.sin(m.maximum_pennation_angle_rad)
    length = max(fiber_m, shortest)
    if fiber_m <= shortest:
        cosine = math.cos(m.maximum_pennation_angle_rad)
    else:
        cosine = math.cos(math.asin(height / length))
    pull = tendon(m, (path_m - length * cosine) / m.tendon_slack_length_m - 1)
    relative = length / m.optimal_fiber_length_m
    passive = slope_of_exponential((relative - 1) / m.fmax_muscle_strain, m.kshape_passive) if relative > 1 else 0.0
    active = held * math.exp(-((relative - 1) ** 2) / m.kshape_active)
    velocity = pace(m, pull / cosine - passive, active, held)
    stopped = fiber_m <= shortest and velocity <= 0
    speed = 0.0 if stopped else velocity * m.max_contraction_velocity_per_s * m.optimal_fiber_length_m
    force = pull * m.max_isometric_force_n
    return rate, speed, force, 0.0 if stopped else force / cosine, length


def check(states: Array, excitations: Array) -> Array:
    """Compares the engine with the equations; returns what they give, (n, muscles, 5)."""
    found = Answers(LOADED, states, excitations)
    number = len(MUSCLES)
    expected = np.array(
        [
            [by_hand(m, y[0], y[2 + i], y[2 + number + i], e[i]) for i, m in enumerate(MUSCLES)]
            for y, e in zip(states.tolist(), excitations.tolist(), strict=True)
        ]
    )
    np.testing.assert_allclose(found.rates[:, 2 : 2 + number], expected[:, :, 0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.rates[:, 2 + number :], expected[:, :, 1], rtol=1e-8, atol=1e-8)
    for i, m in enumerate(MUSCLES):
        np.testing.assert_allclose(found.of(f"forces/{m.name}")[:, 0], expected[:, i, 2], rtol=1e-10, atol=1e-8)
        record = found.of(f"muscles/{m.name}")
        held = np.clip(states[:, 2 + i], m.minimum_activation, 1.0)
        np.testing.assert_allclose(record[:, 0], held, rtol=1e-15)
        np.testing.assert_allclose(record[:, 1], expected[:, i, 4], rtol=1e-12)
        np.testing.assert_array_equal(record[:, 2], found.rates[:, 2 + number + i])
        np.testing.assert_allclose(record[:, 3], expected[:, i, 3], rtol=1e-10, atol=1e-7)
    np.testing.assert_allclose(
        found.accelerations[:, 0], -expected[:, :, 2].sum(axis=1) / MASS_KG, rtol=1e-10, atol=1e-7
    )
    return expected


def states(rows: int, seed: int) -> tuple[Array, Array]:
    """Paths from slack to taut, fibres from under their minimum to over-stretched, activations outside of 0.01..1."""
    rng = np.random.default_rng(seed)
    number = len(MUSCLES)
    fibers = rng.uniform(0.02, 0.17, (rows, number))
    path = rng.uniform(0.2, 0.45, (rows, 1))
    # Half of them with a little strain, where the tendon's toe is.
    first = fibers[:, :1] + 0.2 * (1 + rng.uniform(-0.01, 0.05, (rows, 1)))
    path = np.where(rng.random((rows, 1)) < 0.5, path, first)
    speed, activation = rng.normal(0, 1, (rows, 1)), rng.uniform(-0.1, 1.1, (rows, number))
    return np.hstack((path, speed, activation, fibers)), rng.uniform(-0.2, 1.3, (rows, number))


def test_every_branch_of_the_equations() -> None:
    y, e = states(4000, 0)
    expected = check(y, e)
    plain = MUSCLES[0]
    strain = (y[:, 0] - y[:, 6]) / plain.tendon_slack_length_m - 1
    toe = 99 * 0.033 * math.exp(3) / (166 * math.exp(3) - 67)
    a = np.clip(y[:, 2], 0.01, 1.0)
    relative = y[:, 6] / 0.1
    active = a * np.exp(-((relative - 1) ** 2) / 0.45)
    passive = np.where(relative > 1, np.expm1(np.maximum(relative - 1, 0) * 5 / 0.6) / np.expm1(5.0), 0.0)
    force = expected[:, 0, 2] / 1000.0 - passive
    classes = {
        "slack tendon": strain < 0,
        "tendon in its toe": (strain > 0) & (strain < toe),
        "tendon beyond its toe": strain > toe,
        "shortens": (force > 0) & (force < active),
        "lengthens": (force > active) & (force < 0.95 * 1.4 * active),
        "faster than the curve": force < 0,
        "stronger than the curve": force > 0.95 * 1.4 * active,
        "activation below its minimum": y[:, 2] < 0.01,
        "activation above one": y[:, 2] > 1,
        "excitation below activation's minimum": e[:, 0] < 0.01,
        "stopped at its minimum length": expected[:, 1, 3] == 0.0,
        "lengthens from its minimum length": (y[:, 7] <= expected[:, 1, 4]) & (expected[:, 1, 1] > 0),
    }
    few = {name: int(where.sum()) for name, where in classes.items() if where.sum() < 25}
    assert not few


def test_activation_follows_the_excitation_past_its_own_bounds() -> None:
    # At 0.2: 1 / (0.01 (0.5 + 1.5 · 0.2)) = 125 per second up, (0.5 + 1.5 · 0.2) / 0.04 = 20 down.
    y = np.zeros((5, 10))
    y[:, [0, 6, 7, 8, 9]] = 0.3, 0.1, 0.08, 0.1, 0.1
    y[:, 2] = 0.2, 0.2, -0.5, 1.5, 0.01
    found = Answers(LOADED, y, np.array([[1.2], [-0.2], [0.0], [0.5], [0.01]]) * np.ones(4)).rates[:, 2]
    np.testing.assert_allclose(found, [125.0, -8.0, -0.01 * 0.515 / 0.04, -0.5 * 2 / 0.04, 0.0], rtol=1e-13)


def test_a_fibre_held_at_its_minimum_length_stays_and_reports_no_force_while_its_tendon_pulls() -> None:
    pennate = MUSCLES[1]
    shortest = pennate.optimal_fiber_length_m * math.sin(0.4) / math.sin(pennate.maximum_pennation_angle_rad)
    # The tendon is stretched a little, and the fibre strong: it would shorten further.
    path = shortest * 0.1 + 0.25 * 1.002
    y = np.zeros((2, 10))
    y[:, 0], y[:, 2:6], y[:, 6:] = path, 1.0, 0.1
    y[:, 7] = shortest, 0.5 * shortest
    found = Answers(LOADED, y, 1.0)
    np.testing.assert_array_equal(found.rates[:, 7], 0.0)
    record = found.of("muscles/pennate")
    np.testing.assert_allclose(record[:, 1], shortest)
    np.testing.assert_array_equal(record[:, 3], 0.0)
    assert (found.of("forces/pennate") > 1.0).all()


def test_the_start_is_where_no_fibre_moves() -> None:
    of = read_model(model_path("3D_pros"))
    engine = Engine(of, NativeSettings())
    engine.bodies.y[0] = engine.start()
    engine.bodies.excitation[0] = 0.05
    engine.advance(0.0)
    rates = engine.bodies.ydot[0, 28:]
    np.testing.assert_allclose(rates[:19], 0.0, atol=1e-15)
    # A fibre's length is found to the last bit, and its speed changes by thousands of metres per second per metre.
    np.testing.assert_allclose(rates[19:], 0.0, atol=1e-11)
    assert (engine.bodies.y[0, 47:] > 0.03).all()


@pytest.mark.parametrize("path_m", [0.26, 0.28, 0.3, 0.35])
def test_equilibrium_is_found_from_short_to_overstretched(path_m: float) -> None:
    joints = LOADED.joints[0]
    placed = replace(joints, coordinates=(replace(joints.coordinates[0], default=path_m),))
    of = replace(LOADED, joints=(placed,))
    y = Engine(of, NativeSettings()).start()
    assert y[0] == path_m
    found = Answers(of, y, 0.05)
    np.testing.assert_allclose(found.rates[0, 2:], 0.0, atol=1e-11)
    assert (found.of("forces")[0] >= 0.0).all()


def test_muscles_that_start_in_motion_are_refused() -> None:
    joints = LOADED.joints[0]
    moving = replace(joints, coordinates=(replace(joints.coordinates[0], default_speed=1.0),))
    with pytest.raises(ValueError, match=r"starts with moving coordinates \(x\)"):
        Engine(replace(LOADED, joints=(moving,)), NativeSettings()).start()
