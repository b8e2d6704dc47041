"""Balances that every state and every motion of a whole body keeps."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from environment.body_model import BodyModel, HuntCrossleyForce
from environment.osim_file import read_model
from environment.physics.models import model_path
from environment.physics.native.engine import Engine
from environment.physics.native.settings import NativeSettings
from tests.environment.hand_made import from_xyz
from tests.environment.native.small_models import GRAVITY, Answers, Array


@cache
def prosthetic() -> BodyModel:
    return read_model(model_path("3D_pros"))


def strides(rows: int, seed: int = 0) -> Array:
    """(rows, 66) states about standing, with the feet in the floor, fibres in or near equilibrium."""
    start = Engine(prosthetic(), NativeSettings()).start()
    rng = np.random.default_rng(seed)
    y = np.tile(start, (rows, 1))
    y[:, :14] += rng.normal(0, 0.1, (rows, 14))
    y[:, 4] = rng.uniform(0.85, 0.95, rows)
    y[:, 14:28] = rng.normal(0, 1.0, (rows, 14))
    y[:, 28:47] = rng.uniform(-0.02, 1.0, (rows, 19))
    y[:, 47:] *= rng.uniform(0.95, 1.05, (rows, 19))
    return y


def test_mass_times_acceleration_of_the_mass_centre_is_weight_and_floor() -> None:
    of = prosthetic()
    found = Answers(of, strides(64), 0.5)
    mass = sum(one.mass_kg for one in of.bodies)
    contacts = [force.name for force in of.forces if isinstance(force, HuntCrossleyForce)]
    floor = -np.sum([found.of(f"forces/{name}")[:, :3] for name in contacts], axis=0)
    assert (floor[:, 1] > 100.0).sum() > 40
    weight = np.array([0.0, -mass * GRAVITY, 0.0])
    np.testing.assert_allclose(mass * found.of("misc/mass_center_acc"), floor + weight, rtol=1e-9, atol=1e-7)


def energy_j(of: BodyModel, engine: Engine) -> float:
    """Of all bodies, from their places and speeds in the state vector."""
    engine.advance(0.0)
    state, where = engine.bodies.state[0], engine.layout.where
    total = 0.0
    for one in of.bodies:
        xx, yy, zz, xy, xz, yz = one.inertia_kg_m2
        turn = from_xyz(state[where(f"body_pos_rot/{one.name}")])
        omega = state[where(f"body_vel_rot/{one.name}")]
        arm = turn @ np.array(one.mass_center_m)
        v = state[where(f"body_vel/{one.name}")] + np.cross(omega, arm)
        spin = turn.T @ omega
        height = state[where(f"body_pos/{one.name}")][1] + arm[1]
        turning = spin @ np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) @ spin
        total += 0.5 * one.mass_kg * v @ v + 0.5 * turning + one.mass_kg * GRAVITY * height
    return float(total)


def test_a_skeleton_without_forces_keeps_its_energy() -> None:
    of = replace(prosthetic(), forces=())
    engine = Engine(of, NativeSettings("DormandPrince54", 1e-12))
    rng = np.random.default_rng(1)
    engine.bodies.y[0] = np.concatenate((rng.normal(0, 0.2, 14), rng.normal(0, 1.0, 14)))
    engine.bodies.step_size_s[0] = 1e-4
    before = energy_j(of, engine)
    engine.advance(1.0)
    assert np.abs(engine.bodies.y[0, 14:] - 0.0).max() > 1.0
    assert abs(energy_j(of, engine) - before) <= 1e-8 * abs(before)


@pytest.mark.parametrize("coordinate_name", ["pelvis_tx", "pelvis_tz"])
def test_a_hundred_metres_further_nothing_is_different(coordinate_name: str) -> None:
    near = strides(32, seed=2)
    far = near.copy()
    free = [one.name for one in prosthetic().coordinates if not one.locked]
    far[:, free.index(coordinate_name)] += 100.0
    # Without the skip rule: it looks for the axis along which contacts lie apart, ground's origin among them.
    here, there = (Answers(prosthetic(), y, 0.3, skip_contacts=False) for y in (near, far))
    assert here.rates.tobytes() == there.rates.tobytes()
    for branch in ("body_acc", "body_vel", "body_acc_rot", "muscles", "misc/mass_center_acc"):
        np.testing.assert_array_equal(here.of(branch), there.of(branch))
