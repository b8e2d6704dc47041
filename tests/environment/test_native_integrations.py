"""Bodies of one native batch, each integrated in its own way."""

from __future__ import annotations

import numpy as np
import pytest

from environment.physics.integration import Draws, Integration
from environment.physics.models import model_path
from environment.physics.native.batch import NativeBatch
from environment.physics.native.engine import Engine
from environment.physics.native.physics import NativePhysics
from environment.physics.native.settings import NativeSettings
from tests.environment.native.small_models import Array
from tests.environment.native.test_integration import START, double_pendulum, truth

MODEL = model_path("3D_pros")
MUSCLES, STEPS = 19, 8
MERSON = NativeSettings("RungeKuttaMerson", 5e-5, draws=Draws((1e-6, 1e-3), stale_share=0.5))
BOGACKI = NativeSettings(draws=Draws((1e-6, 1e-3)))
INTEGRATIONS = {
    "Merson": (MERSON, [MERSON.draws.of(seed, MERSON.own) for seed in range(9)] if MERSON.draws else []),
    "Bogacki": (BOGACKI, [BOGACKI.draws.of(seed, BOGACKI.own) for seed in range(9)] if BOGACKI.draws else []),
}


def excitations(body: int) -> Array:
    return np.random.default_rng([3, body]).random((STEPS, MUSCLES))


def alone(settings: NativeSettings, integration: Integration | None, body: int) -> Array:
    """(STEPS + 1, S) of a body alone, from its reset on."""
    physics = NativePhysics(MODEL, settings)
    physics.integrate_as(integration)
    return np.stack([physics.reset(), *(physics.step(one) for one in excitations(body))])


@pytest.mark.parametrize("case", INTEGRATIONS)
def test_a_body_of_its_own_accuracy_moves_in_a_batch_as_it_does_alone_bit_for_bit(case: str) -> None:
    settings, integrations = INTEGRATIONS[case]
    batch = NativeBatch(MODEL, settings, len(integrations), 2)
    for body, integration in enumerate(integrations):
        batch.integrate_as(body, integration)
    states = [batch.reset().copy()]
    plan = np.stack([excitations(body) for body in range(batch.number)], axis=1)
    for step in plan:
        states.append(batch.step(step)[0].copy())
    found = np.stack(states)
    for body, integration in enumerate(integrations):
        assert found[:, body].tobytes() == alone(settings, integration, body).tobytes(), body


@pytest.mark.parametrize("settings", [NativeSettings(), NativeSettings("RungeKuttaMerson", 5e-5, stale_controls=True)])
def test_a_body_told_to_be_integrated_as_the_settings_say_is_the_same_bit_for_bit(settings: NativeSettings) -> None:
    assert alone(settings, settings.own, 0).tobytes() == alone(settings, None, 0).tobytes()


def test_late_controls_that_were_drawn_are_those_of_a_run_in_which_all_are_late() -> None:
    all_late = NativeSettings("RungeKuttaMerson", 5e-5, stale_controls=True)
    late, punctual = Integration(5e-5, stale_controls=True), Integration(5e-5)
    assert alone(MERSON, late, 0).tobytes() == alone(all_late, None, 0).tobytes()
    assert alone(MERSON, punctual, 0).tobytes() == alone(all_late, punctual, 0).tobytes()
    # At the same accuracy both integrators are closer to each other than late controls are to punctual ones.
    pelvis, otherwise = slice(0, 40), alone(NativeSettings("DormandPrince54", 1e-9), None, 0)
    fault = np.abs(alone(MERSON, late, 0)[-1, pelvis] - otherwise[-1, pelvis]).max()
    rest = np.abs(alone(MERSON, punctual, 0)[-1, pelvis] - otherwise[-1, pelvis]).max()
    assert rest < 0.5 * fault


@pytest.mark.parametrize("case", INTEGRATIONS)
def test_a_snapshot_and_a_given_start_keep_the_body_s_integration(case: str) -> None:
    settings, integrations = INTEGRATIONS[case]
    one, other = integrations[0], Integration(1e-4)
    batch, physics = NativeBatch(MODEL, settings, 3), NativePhysics(MODEL, settings)
    plan = excitations(1)
    batch.integrate_as(1, one)
    batch.reset()
    for step in plan[:3]:
        batch.step(np.tile(step, (3, 1)))
    middle = batch.snapshot(1)
    assert middle.integration == one
    expected = [batch.step(np.tile(step, (3, 1)))[0][1].copy() for step in plan[3:]]
    # Another episode, integrated otherwise, comes in between.
    batch.integrate_as(1, other)
    batch.reset([1])
    batch.step(np.tile(plan[0], (3, 1)), [1])
    physics.integrate_as(other)
    physics.reset()
    assert batch.restore(1, middle).tobytes() == physics.restore(middle).tobytes()
    for step, state in zip(plan[3:], expected, strict=True):
        assert batch.step(np.tile(step, (3, 1)), [1])[0][1].tobytes() == state.tobytes()
        assert physics.step(step).tobytes() == state.tobytes()
    # A given start begins another episode of the same body.
    start = expected[-1].astype(np.float32)
    assert batch.start_at(1, start).tobytes() == physics.start_at(start).tobytes()
    assert batch.snapshot(1).integration == physics.snapshot().integration == one
    assert batch.step(np.tile(plan[0], (3, 1)), [1])[0][1].tobytes() == physics.step(plan[0]).tobytes()


def test_a_tighter_accuracy_of_one_body_takes_more_evaluations_and_errs_less() -> None:
    engine = Engine(double_pendulum(), NativeSettings(accuracy=1e-5), 3)
    for body, accuracy in enumerate((1e-4, 1e-6, 1e-8)):
        engine.integrate_as(body, Integration(accuracy))
    engine.bodies.y[:], engine.bodies.step_size_s[:] = START, 1e-4
    engine.advance(0.12)
    errors = np.abs(engine.bodies.y - truth()).max(axis=1)
    assert errors[0] > 5 * errors[1] > 25 * errors[2]
    assert list(engine.bodies.evaluations) == sorted(engine.bodies.evaluations)
    # The accuracy that counts is the body's own, whatever the engine's is.
    alone = Engine(double_pendulum(), NativeSettings(accuracy=1e-6))
    alone.bodies.y[0], alone.bodies.step_size_s[0] = START, 1e-4
    alone.advance(0.12)
    np.testing.assert_allclose(engine.bodies.y[1], alone.bodies.y[0], rtol=1e-9)


def test_what_no_episode_can_have_is_refused_and_changes_nothing() -> None:
    physics = NativePhysics(MODEL)
    with pytest.raises(ValueError, match=r"native integrator accuracy 0\.5 is outside"):
        physics.integrate_as(Integration(0.5))
    with pytest.raises(ValueError, match="has no late controls, and an episode asks for them"):
        physics.integrate_as(Integration(1e-5, stale_controls=True))
    physics.reset()
    assert physics.snapshot().integration is None
