"""Where bodies and muscles are drawn: against the states themselves, and against OpenSim."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from environment.osim_file import read_model
from environment.physics.models import MODELS, model_path
from environment.physics.native.physics import NativePhysics
from environment.physics.native.probe import NativeOracle
from environment.rendering.placement import Placement, rotation_xyz
from infra.bench.fidelity.oracle import Oracle
from infra.bench.fidelity.probe import Probe
from tests.environment.hand_made import LAYOUT as FAKE_LAYOUT
from tests.environment.hand_made import about_x, about_y, about_z
from tests.falling import falling

Array = NDArray[np.float64]


def test_body_fixed_angles_turn_about_x_then_y_then_z() -> None:
    angles = np.array([0.3, -1.1, 2.0])
    np.testing.assert_allclose(rotation_xyz(angles), about_x(0.3) @ about_y(-1.1) @ about_z(2.0), atol=1e-15)
    many = rotation_xyz(np.stack([angles, 0 * angles])[:, None])
    assert many.shape == (2, 1, 3, 3)
    np.testing.assert_array_equal(many[1, 0], np.eye(3))


def states_of(model: str, count: int = 40) -> tuple[Array, Array, Placement]:
    """Coordinates all over their ranges, whole states there, and what places them."""
    path = model_path(model)
    body = read_model(path)
    free = [one for one in body.coordinates if not one.locked]
    generator = np.random.default_rng(5)
    low, high = np.array([one.range for one in free]).T
    q = generator.uniform(np.maximum(low, -2.0), np.minimum(high, 2.0), (count, len(free)))
    muscles = len(body.muscles)
    nothing, a = np.zeros_like(q), np.full((count, muscles), 0.1)
    lengths = np.tile([muscle.optimal_fiber_length_m for muscle in body.muscles], (count, 1))
    states = NativeOracle(path).state_vectors(q, nothing, a, lengths, a)
    engine = NativePhysics(path)
    placement = Placement(body, engine.layout)
    engine.close()
    return q, states, placement


@pytest.mark.opensim
@pytest.mark.parametrize("model", MODELS)
def test_the_muscles_that_are_drawn_are_as_long_as_opensims(model: str) -> None:
    q, states, placement = states_of(model)
    probe = Probe(Oracle(model_path(model)))
    assert placement.muscles == probe.oracle.muscles
    needed = probe.muscle_lengths(q)
    found = placement.paths(states)
    np.testing.assert_allclose(found.lengths_m(), needed, rtol=0, atol=1e-12)
    # Among them are points that appear and vanish; stored states are float32.
    assert not found.present.all()
    np.testing.assert_allclose(placement.paths(states.astype(np.float32)).lengths_m(), needed, rtol=0, atol=1e-6)


def test_bodies_stand_and_lean_as_the_state_says() -> None:
    motion = falling()
    model = read_model(model_path(motion.model))
    placement = Placement(model, motion.layout)
    poses = placement.poses(motion.states)
    for number, name in enumerate(placement.bodies):
        np.testing.assert_array_equal(
            poses.position_m[:, number], motion.states[:, motion.layout.where(f"body_pos/{name}")]
        )
    # Were one body turned the wrong way, the whole's mass centre would be elsewhere than the simulator had it.
    mass = np.array([body.mass_kg for body in model.bodies])
    own = np.array([body.mass_center_m for body in model.bodies])
    centers = np.einsum("tbij,bj->tbi", poses.rotation, own) + poses.position_m
    whole = np.einsum("b,tbi->ti", mass / mass.sum(), centers)
    needed = motion.states[:, motion.layout.where("misc/mass_center_pos")]
    np.testing.assert_allclose(whole, needed, rtol=0, atol=1e-6)


def test_muscles_run_from_origin_to_insertion_within_the_body() -> None:
    motion = falling()
    placement = Placement(read_model(model_path(motion.model)), motion.layout)
    paths = placement.paths(motion.states)
    away = np.linalg.norm(paths.point_m - motion.pelvis_m[:, None], axis=2)
    assert away.max() < 1.2
    assert [len(paths.line(0, muscle)) >= 2 for muscle in range(len(paths.muscle))] == [True] * 19


def test_activations_are_read_in_the_muscles_order() -> None:
    motion = falling()
    placement = Placement(read_model(model_path(motion.model)), motion.layout)
    name = placement.muscles[4]
    np.testing.assert_array_equal(
        placement.activations(motion.states)[:, 4], motion.states[:, motion.layout.index[f"muscles/{name}/activation"]]
    )


def test_states_of_another_body_are_refused() -> None:
    with pytest.raises(ValueError, match=r"do not describe the model.*another task's body"):
        Placement(read_model(model_path("3D_pros")), FAKE_LAYOUT)
