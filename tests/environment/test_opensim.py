"""What only the reference physics promises: numbers, integrators, silence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from environment.observations import CompactObservation
from environment.physics.contract import SimulationError
from environment.physics.models import MODELS, file_sha256, model_path
from environment.physics.opensim import FAST, OFFICIAL, OpenSimPhysics
from environment.physics.settings import INTEGRATORS, OpenSimSettings
from tests.environment.hand_made import about_x, about_y, about_z, to_pelvis_coordinates

pytestmark = pytest.mark.opensim

MODEL = model_path("3D_pros")
CONSTRAINED = OpenSimSettings(weld_locked=False)
STEPS = 30


@pytest.fixture(scope="module")
def plan() -> np.ndarray:
    """(30, 19) on/off excitations that change at every step, where stale controls do most harm."""
    return (np.random.default_rng(4).random((STEPS, 19)) < 0.5).astype(np.float64)


def play(settings: OpenSimSettings, plan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of all bodies (T, bodies * 3) m and the muscles' activations (T, 19)."""
    physics = OpenSimPhysics(MODEL, settings)
    physics.reset()
    states = np.stack([physics.step(excitation) for excitation in plan])
    return states[:, physics.layout.where("body_pos")], states[:, physics.layout.ending("muscles", "activation")]


@pytest.fixture(scope="module")
def tight(plan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return play(OpenSimSettings("RungeKuttaMerson", 1e-7), plan)


def test_the_name_tells_all_settings() -> None:
    assert OpenSimPhysics(MODEL, FAST).name == "opensim/SemiExplicitEuler2/0.01/1ms"
    assert OpenSimPhysics(MODEL, OFFICIAL).name == "opensim/RungeKuttaMerson/5e-05/stale-controls"
    slow = OpenSimSettings("RungeKutta2", 1e-3, weld_locked=False, longest_step_s=0.01)
    assert OpenSimPhysics(MODEL, slow).name == "opensim/RungeKutta2/0.001/constrained"


def test_the_prosthetic_model_has_412_numbers_and_19_muscles_in_the_challenge_s_order() -> None:
    physics = OpenSimPhysics(MODEL)
    assert physics.layout.size == 412
    right = ("abd_r", "add_r", "hamstrings_r", "bifemsh_r", "glut_max_r", "iliopsoas_r", "rect_fem_r", "vasti_r")
    left = tuple(muscle.replace("_r", "_l") if muscle != "rect_fem_r" else "rect_fem_l" for muscle in right)
    assert physics.muscles == (*right, *left, "gastroc_l", "soleus_l", "tib_ant_l")


def test_the_model_s_checksum_is_of_its_file() -> None:
    sums = {file_sha256(model_path(model)) for model in MODELS}
    assert len(sums) == 4
    assert OpenSimPhysics(MODEL).model_sha256 == file_sha256(MODEL)


def test_the_longest_step_is_kept(plan: np.ndarray) -> None:
    def times_s(settings: OpenSimSettings) -> np.ndarray:
        physics = OpenSimPhysics(MODEL, settings)
        physics.reset()
        physics._manager.setRecordStatesTrajectory(True)
        physics._manager.initialize(physics._state)  # the record is begun here
        for excitation in plan[:10]:
            physics.step(excitation)
        states = physics._manager.getStatesTrajectory()
        return np.array([states.get(i).getTime() for i in range(states.getSize())])

    assert 5e-4 < np.diff(times_s(FAST)).max() < 1e-3 + 1e-9
    assert np.diff(times_s(replace(FAST, longest_step_s=0.01))).max() > 1.2e-3
    assert np.diff(times_s(replace(FAST, stale_controls=True))).max() > 1.2e-3


def test_the_fast_integrator_stays_within_five_millimetres_of_the_tight_solution(
    plan: np.ndarray, tight: tuple[np.ndarray, np.ndarray]
) -> None:
    away_m = np.abs(play(FAST, plan)[0] - tight[0]).max()
    assert 1e-7 < away_m < 5e-3


def test_fresh_controls_bring_activations_three_times_nearer_to_the_tight_solution_than_stale_ones(
    plan: np.ndarray, tight: tuple[np.ndarray, np.ndarray]
) -> None:
    stale, fresh = (
        np.abs(play(settings, plan)[1] - tight[1]).mean()
        for settings in (OFFICIAL, replace(OFFICIAL, stale_controls=False, weld_locked=False, longest_step_s=0.01))
    )
    assert fresh < stale / 3


def test_controls_are_fresh_unless_asked_otherwise(plan: np.ndarray) -> None:
    assert not FAST.stale_controls
    fresh = replace(FAST, weld_locked=False, longest_step_s=0.01)  # apart from the controls as osim-rl does it
    stale_activations, activations = (
        play(settings, plan[:3])[1] for settings in (replace(fresh, stale_controls=True), fresh)
    )
    assert not np.array_equal(stale_activations, activations)


def test_a_snapshot_keeps_the_excitation_that_was_used_when_the_caller_s_array_changes() -> None:
    physics = OpenSimPhysics(MODEL)
    physics.reset()
    excitation = np.full(19, 0.5)
    physics.step(excitation)
    snapshot = physics.snapshot()
    excitation[:] = 0.0
    assert (snapshot.excitation == 0.5).all()
    assert (physics.snapshot().excitation == 0.5).all()


def test_a_step_before_the_reset_is_refused() -> None:
    physics = OpenSimPhysics(MODEL)
    with pytest.raises(RuntimeError, match="step before reset"):
        physics.step(np.zeros(19))
    with pytest.raises(RuntimeError, match="snapshot before reset"):
        physics.snapshot()


def test_a_closed_simulator_can_not_be_used() -> None:
    physics = OpenSimPhysics(MODEL)
    physics.reset()
    physics.close()
    with pytest.raises(RuntimeError):
        physics.step(np.zeros(19))


def test_a_state_that_is_not_finite_is_a_simulation_error_and_the_simulator_survives_it() -> None:
    physics = OpenSimPhysics(MODEL)
    start = physics.reset()
    snapshot = physics.snapshot()
    with pytest.raises(SimulationError, match="is not finite after restore"):
        physics.restore(replace(snapshot, y=np.full_like(snapshot.y, np.nan)))
    assert physics.reset().tobytes() == start.tobytes()
    assert np.isfinite(physics.step(np.zeros(19))).all()


def test_a_snapshot_of_another_size_is_refused_and_moves_nothing() -> None:
    constrained = OpenSimPhysics(MODEL, CONSTRAINED)
    constrained.reset()
    physics = OpenSimPhysics(MODEL)
    physics.reset()
    before = physics.snapshot()
    with pytest.raises(ValueError, match=r"holds \(72,\) .* has \(66,\); .* constrained instead of welded"):
        physics.restore(constrained.snapshot())
    assert physics.snapshot().y.tobytes() == before.y.tobytes()


def test_a_step_that_fails_carries_the_last_good_state_and_its_excitation() -> None:
    physics = OpenSimPhysics(MODEL)
    physics.reset()
    good = physics.step(np.full(19, 0.2))
    expected = good.copy()
    good[:] = 0.0
    speeds = physics._state.updU()
    speeds.set(0, np.nan)
    with pytest.raises(SimulationError) as failure:
        physics.step(np.full(19, 0.7))
    assert failure.value.state is not None
    assert failure.value.excitation is not None
    assert np.array_equal(failure.value.state, expected)
    assert (failure.value.excitation == 0.7).all()


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    physics = OpenSimPhysics(MODEL)
    for _ in range(2):
        physics.reset()
        physics.step(np.zeros(19))
    physics.restore(physics.snapshot())
    physics.close()
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_nothing_is_kept_per_step() -> None:
    physics = OpenSimPhysics(MODEL)
    physics.reset()

    def kept() -> tuple[int, ...]:
        table = physics._model.getControllerSet().getControlTable()
        return physics._manager.getStateStorage().getSize(), len(list(table.getIndependentColumn()))

    before = kept()
    for _ in range(20):
        physics.step(np.full(19, 0.1))
    assert kept() == before


@pytest.mark.parametrize("yaw_rad", [1.0, -2.5])
def test_compact_sees_opensim_s_own_body_alike_in_every_heading(yaw_rad: float) -> None:
    physics = OpenSimPhysics(MODEL)
    physics.reset()
    for _ in range(8):
        physics.step(np.full(19, 0.2))
    still = physics.snapshot()
    speeds = slice(14, 28)
    upright = still.y.copy()
    upright[speeds] = 0.0
    upright[:3] = 0.25, 0.1, -0.2
    aside = upright.copy()
    aside[:3] = to_pelvis_coordinates(about_y(yaw_rad) @ about_z(0.25) @ about_x(0.1) @ about_y(-0.2))
    aside[[3, 5]] = (about_y(yaw_rad) @ np.array([upright[3], 0.0, upright[5]]))[[0, 2]]

    layout = physics.layout.with_target()
    observe = CompactObservation(layout)
    states = np.stack([physics.restore(replace(still, y=y)) for y in (upright, aside)])
    assert states[0, 0] == pytest.approx(0.25)
    assert abs(states[1, 0] - 0.25) > 0.05
    targets = np.array([[1.0, 0.0, 0.0], about_y(yaw_rad) @ [1.0, 0.0, 0.0]])
    ahead, turned = observe(np.concatenate((states, targets), axis=1)[:, None].astype(np.float32), np.zeros(2))
    assert np.abs(ahead[list(observe.names).index("ground_force/foot_l/y")]) > 0.0
    np.testing.assert_allclose(turned, ahead, rtol=0, atol=2e-4)


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_every_offered_integrator_exists_in_opensim(integrator: str) -> None:
    accuracy = 1e-2
    physics = OpenSimPhysics(MODEL, OpenSimSettings(integrator, accuracy))
    physics.reset()
    assert np.isfinite(physics.step(np.full(19, 0.1))).all()
