"""A body in a batch is the same body as alone."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from environment.physics.contract import SimulationError
from environment.physics.models import model_path
from environment.physics.native.batch import NativeBatch
from environment.physics.native.physics import NativePhysics
from environment.physics.native.settings import NativeSettings

MODEL = model_path("3D_pros")
MUSCLES = 19
STEPS = 6


def plan(number: int, steps: int = STEPS, seed: int = 0) -> np.ndarray:
    """(steps, number, M) excitations; those of body i do not depend on `number`."""
    bodies = [np.random.default_rng([seed, body]).random((steps, MUSCLES)) for body in range(number)]
    return np.stack(bodies, axis=1)


def play(batch: NativeBatch, excitations: np.ndarray) -> np.ndarray:
    """(steps, N, S) after a reset."""
    batch.reset()
    states = []
    for step in excitations:
        state, failed = batch.step(step)
        assert not failed.any()
        states.append(state.copy())
    return np.stack(states)


@cache
def alone(body: int, steps: int = STEPS) -> np.ndarray:
    """(steps, S) of that body of the plan."""
    physics = NativePhysics(MODEL)
    physics.reset()
    return np.stack([physics.step(excitation) for excitation in plan(body + 1, steps)[:, body]])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("number", [1, 2, 3, 8, 13, 16])
def test_a_body_moves_as_it_does_alone_bit_for_bit_at_every_place_of_every_batch(number: int, threads: int) -> None:
    states = play(NativeBatch(MODEL, number=number, threads=threads), plan(number))
    for body in range(number):
        assert states[:, body].tobytes() == alone(body).tobytes(), body


def test_a_fall_is_the_same_in_a_batch_bit_for_bit() -> None:
    states = play(NativeBatch(MODEL, number=3), plan(3, 100))
    assert states[-1, 2].tobytes() == alone(2, 100)[-1].tobytes()
    height = NativeBatch(MODEL).layout.index["body_pos/pelvis/y"]
    assert states[-1, :, height].min() < 0.6


def test_another_process_gets_the_same_states_bit_for_bit() -> None:
    program = (
        "import hashlib\n"
        "from tests.environment.test_native_batch import MODEL, NativeBatch, plan, play\n"
        "states = play(NativeBatch(MODEL, number=5, threads=2), plan(5))\n"
        "print(hashlib.sha256(states.tobytes()).hexdigest())"
    )
    sums = {subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()}
    import hashlib

    sums.add(hashlib.sha256(play(NativeBatch(MODEL, number=5), plan(5)).tobytes()).hexdigest())
    assert len(sums) == 1


def test_stale_controls_are_the_same_in_a_batch_also_after_a_rest_and_a_reset() -> None:
    settings = NativeSettings("RungeKuttaMerson", 5e-5, stale_controls=True)
    batch, excitations = NativeBatch(MODEL, settings, 3), plan(3)
    physics = NativePhysics(MODEL, settings)
    for _ in range(2):
        batch.reset()
        physics.reset()
        for step in excitations:
            batch.step(step, [1])
            batch.step(excitations[0], [0, 2])
            assert batch.states[1].tobytes() == physics.step(step[1]).tobytes()
            batch.step(excitations[0], [2])


@pytest.mark.parametrize("settings", [NativeSettings(), NativeSettings("RungeKuttaMerson", 5e-5, stale_controls=True)])
def test_a_given_start_is_that_of_a_body_alone_bit_for_bit_and_disturbs_no_other(settings: NativeSettings) -> None:
    batch, physics, excitations = NativeBatch(MODEL, settings, 9), NativePhysics(MODEL, settings), plan(9, 12)
    stored = play(batch, excitations[:6])[-1, 4].astype(np.float32)
    others = np.arange(9) != 7
    before = batch.states.copy()
    start = batch.start_at(7, stored)
    assert (batch.states[others] == before[others]).all()
    assert start.tobytes() == batch.states[7].tobytes() == physics.start_at(stored).tobytes()
    for step in excitations[6:]:
        batch.step(step)
        assert batch.states[7].tobytes() == physics.step(step[7]).tobytes()
    assert batch.snapshot(7).step == 6


def test_a_start_that_is_no_state_moves_nobody() -> None:
    batch = NativeBatch(MODEL, number=3)
    batch.reset()
    before = batch.states.copy()
    with pytest.raises(ValueError, match="is not finite"):
        batch.start_at(1, np.full(batch.layout.size, np.nan))
    assert (batch.states == before).all()
    assert batch.ready.all()


def test_the_start_is_that_of_a_body_alone() -> None:
    assert (NativeBatch(MODEL, number=9).reset() == NativePhysics(MODEL).reset()).all()


@pytest.mark.parametrize("form", ["mask", "numbers"])
@pytest.mark.parametrize("threads", [1, 2])
def test_bodies_that_are_not_asked_to_move_stay_and_go_on_later_as_if_nothing_had_been(form: str, threads: int) -> None:
    batch, excitations = NativeBatch(MODEL, number=19, threads=threads), plan(19)
    batch.reset()
    generator = np.random.default_rng(1)
    taken = np.zeros(19, np.int64)
    while taken.min() < STEPS:
        moving = (generator.random(19) < 0.6) & (taken < STEPS)
        before, snapshots = batch.states.copy(), [batch.snapshot(body) for body in range(19)]
        asked = excitations[np.minimum(taken, STEPS - 1), np.arange(19)]
        batch.step(asked, moving if form == "mask" else generator.permutation(np.flatnonzero(moving)))
        taken += moving
        for body in range(19):
            if moving[body]:
                assert batch.states[body].tobytes() == alone(body)[taken[body] - 1].tobytes()
            else:
                assert batch.states[body].tobytes() == before[body].tobytes()
                assert batch.snapshot(body).y.tobytes() == snapshots[body].y.tobytes()


def test_nobody_can_move_too() -> None:
    batch = NativeBatch(MODEL, number=3)
    before = batch.reset().copy()
    _, failed = batch.step(np.zeros((3, MUSCLES)), np.zeros(3, dtype=bool))
    assert not failed.any()
    assert batch.states.tobytes() == before.tobytes()


def test_a_reset_of_one_body_leaves_the_others_alone() -> None:
    batch = NativeBatch(MODEL, number=4)
    play(batch, plan(4, 2))
    batch.reset([2])
    assert batch.snapshot(2).step == 0
    excitations = plan(4)
    excitations[2:4, 2] = plan(4)[:2, 2]
    for step in excitations[2:4]:
        batch.step(step)
    assert batch.states[1].tobytes() == alone(1)[3].tobytes()
    assert batch.states[2].tobytes() == alone(2)[1].tobytes()


def test_a_body_stays_at_its_start_while_others_move() -> None:
    batch = NativeBatch(MODEL, number=3)
    play(batch, plan(3, 2))
    start = batch.reset([1])[1].copy()
    batch.step(plan(3)[2], [0, 2])
    assert batch.states[1].tobytes() == start.tobytes()


def test_a_body_without_a_reset_has_no_state_while_others_move() -> None:
    batch = NativeBatch(MODEL, number=3)
    batch.reset([0])
    batch.step(plan(3)[0], [0])
    assert batch.states[0].any()
    assert not batch.states[1:].any()


def test_a_failed_body_is_told_keeps_its_last_good_state_and_disturbs_no_other() -> None:
    batch, excitations = NativeBatch(MODEL, number=13), plan(13)
    batch.reset()
    batch.step(excitations[0])
    good = batch.states[5].copy()
    batch._engine.bodies.y[5, 0] = np.nan
    _, failed = batch.step(excitations[1])
    assert np.flatnonzero(failed).tolist() == [5]
    assert batch.states[5].tobytes() == good.tobytes()
    error = batch.errors[5]
    assert isinstance(error, SimulationError)
    assert "could not finish control step 2" in str(error)
    assert error.state is not None
    assert error.excitation is not None
    assert error.state.tobytes() == good.tobytes()
    assert np.array_equal(error.excitation, excitations[1, 5])
    assert not batch.ready[5]
    with pytest.raises(RuntimeError, match="step of body 5 before its reset: it failed"):
        batch.step(excitations[2])
    with pytest.raises(RuntimeError, match="snapshot of body 5"):
        batch.snapshot(5)
    _, failed = batch.step(excitations[2], batch.ready)
    assert not failed.any()
    assert batch.errors[5] is error
    assert batch.states[5].tobytes() == good.tobytes()
    for body in (0, 4, 6, 12):
        assert batch.states[body].tobytes() == alone(body)[2].tobytes()
    batch.reset([5])
    assert not batch.errors
    assert batch.ready.all()
    batch.step(excitations[0], [5])
    assert batch.states[5].tobytes() == alone(5)[0].tobytes()


def test_a_failure_says_what_a_body_alone_says() -> None:
    batch, physics = NativeBatch(MODEL, number=2), NativePhysics(MODEL)
    batch.reset()
    physics.reset()
    batch._engine.bodies.y[1, 3] = np.nan
    physics._engine.bodies.y[0, 3] = np.nan
    with pytest.raises(SimulationError) as caught:
        physics.step(np.full(MUSCLES, 0.5))
    batch.step(np.full((2, MUSCLES), 0.5))
    assert str(batch.errors[1]) == str(caught.value)


def test_a_step_before_the_reset_is_refused() -> None:
    with pytest.raises(RuntimeError, match="step of body 0 before its reset: it has no state yet"):
        NativeBatch(MODEL, number=2).step(np.zeros((2, MUSCLES)))


@pytest.mark.parametrize("direction", ["into the batch", "out of the batch"])
def test_a_snapshot_continues_exactly_between_a_body_alone_and_one_in_a_batch(direction: str) -> None:
    batch, physics = NativeBatch(MODEL, number=10), NativePhysics(MODEL)
    batch.reset()
    physics.reset()
    excitations = plan(10)
    for step in excitations[:3]:
        batch.step(step)
        physics.step(step[7])
    if direction == "into the batch":
        assert batch.restore(2, physics.snapshot()).tobytes() == alone(7)[2].tobytes()
        assert batch.states[3].tobytes() == alone(3)[2].tobytes()
        excitations[:, 2] = excitations[:, 7]
        batch.step(excitations[3])
        assert batch.states[2].tobytes() == alone(7)[3].tobytes()
        assert batch.states[3].tobytes() == alone(3)[3].tobytes()
        assert batch.snapshot(2).step == 4
    else:
        assert physics.restore(batch.snapshot(4)).tobytes() == alone(4)[2].tobytes()
        assert physics.step(excitations[3, 4]).tobytes() == alone(4)[3].tobytes()


def test_a_snapshot_of_another_model_is_refused() -> None:
    planar = NativePhysics(model_path("2D"))
    planar.reset()
    with pytest.raises(ValueError, match="does not fit"):
        NativeBatch(MODEL, number=2).restore(0, planar.snapshot())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "excitation of body 2, muscle 5 is not finite"),
        (np.inf, "excitation of body 2, muscle 5 is not finite"),
        (1.01, r"excitation of body 2, muscle 5 is 1.01, it must be in \[0, 1\]"),
        (-0.5, "excitation of body 2, muscle 5 is -0.5"),
    ],
)
def test_a_bad_excitation_is_refused_by_body_and_muscle_before_anybody_moves(value: float, message: str) -> None:
    batch = NativeBatch(MODEL, number=4)
    before = batch.reset().copy()
    excitations = plan(4, 1)[0]
    excitations[2, 5] = value
    with pytest.raises(ValueError, match=message):
        batch.step(excitations)
    with pytest.raises(ValueError, match=message):
        batch.step(excitations, [0, 2])
    assert batch.states.tobytes() == before.tobytes()
    assert batch.snapshot(0).step == 0
    batch.step(excitations, [0, 1, 3])
    assert batch.states[3].tobytes() == alone(3)[0].tobytes()


@pytest.mark.parametrize("shape", [(3, MUSCLES), (4, MUSCLES + 1), (MUSCLES,)])
def test_excitations_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    batch = NativeBatch(MODEL, number=4)
    batch.reset()
    with pytest.raises(ValueError, match=r"excitations have shape .* the bodies need \(4, 19\)"):
        batch.step(np.zeros(shape))


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ([4], "there are bodies 0 to 3"),
        ([-1], "there are bodies"),
        ([1, 1], "twice"),
        (np.ones(3, bool), "mask of shape"),
    ],
)
def test_bodies_that_are_not_there_are_refused(which: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NativeBatch(MODEL, number=4).reset(which)


def test_a_task_s_columns_lie_behind_the_states_and_are_not_touched() -> None:
    batch = NativeBatch(MODEL, number=3, extra_columns=2)
    assert batch.rows.shape == (3, batch.layout.size + 2)
    batch.rows[:, -2:] = 7.0
    play(batch, plan(3, 1))
    assert (batch.rows[:, -2:] == 7.0).all()
    assert batch.states[1].tobytes() == alone(1)[0].tobytes()
