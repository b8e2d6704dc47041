"""Bodies on their way through time: order, step sizes, neighbours, failures, determinism."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from environment.body_model import GROUND, BodyModel, Frame
from environment.osim_file import read_model
from environment.physics.models import model_path
from environment.physics.native.engine import Engine
from environment.physics.native.methods import PAIRS
from environment.physics.native.physics import NativePhysics
from environment.physics.native.settings import METHODS, NativeSettings
from tests.environment.native.small_models import Array, body, model, pin

ROOT = Path(__file__).resolve().parents[3]


def double_pendulum() -> BodyModel:
    """Fast enough for the longest step to be a coarse one."""
    rods = [body(name, 1.0, (0, -0.2, 0), (1, 1, 0.02, 0, 0, 0)) for name in ("upper", "lower")]
    joints = [pin(GROUND, "upper", "q1"), pin(Frame("upper", (0, -0.4, 0)), "lower", "q2")]
    return model(rods, joints, gravity=(0, -900.0, 0))


START = (0.5, -0.3, 2.0, -1.0)


def travelled(settings: NativeSettings, step_s: float, duration_s: float = 0.12) -> tuple[Array, int]:
    """(state, evaluations) after steps of that size each."""
    engine = Engine(double_pendulum(), settings)
    engine.bodies.y[0] = START
    for _ in range(round(duration_s / step_s)):
        engine.bodies.step_size_s[0] = step_s
        engine.advance(step_s)
        assert engine.bodies.failed[0] == 0
    return engine.bodies.y[0].copy(), int(engine.bodies.evaluations[0])


@cache
def truth() -> Array:
    engine = Engine(double_pendulum(), NativeSettings("DormandPrince54", 1e-12))
    engine.bodies.y[0], engine.bodies.step_size_s[0] = START, 1e-4
    engine.advance(0.12)
    return np.array(engine.bodies.y[0])


@pytest.mark.parametrize(
    ("name", "order", "slopes"), [("BogackiShampine32", 3, 3), ("DormandPrince54", 5, 6), ("RungeKuttaMerson", 4, 5)]
)
def test_halving_the_step_divides_the_error_by_two_to_the_order(name: str, order: int, slopes: int) -> None:
    settings = NativeSettings(name, 1e-3)
    errors = []
    for step_s in (2e-3, 1e-3, 5e-4):
        y, evaluations = travelled(settings, step_s)
        # One more at the start of each call.
        assert evaluations == round(0.12 / step_s) * (slopes + slopes)
        errors.append(float(np.abs(y - truth()).max()))
    found = np.log2(errors[:-1]) - np.log2(errors[1:])
    np.testing.assert_allclose(found, order, atol=0.5)
    assert errors[-1] < 0.1


@pytest.mark.parametrize("name", METHODS)
def test_a_method_s_coefficients_fulfil_the_conditions_of_its_order(name: str) -> None:
    pair = PAIRS[name]
    stages = len(pair.error)
    a = np.zeros((stages, stages))
    for i, row in enumerate(pair.stage):
        a[i, : len(row)] = row
    nodes = a.sum(axis=1)
    weights, other = a[-1], a[-1] - pair.error
    assert nodes[-1] == pytest.approx(1.0)
    for b, order in ((weights, pair.order), (other, pair.order - 1)):
        for power in range(order):
            assert b @ nodes**power == pytest.approx(1 / (power + 1), abs=1e-12)
        if order >= 3:
            assert b @ a @ nodes == pytest.approx(1 / 6, abs=1e-12)
    assert sum(pair.error) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("name", METHODS)
def test_a_tighter_accuracy_takes_more_steps_and_errs_less(name: str) -> None:
    errors, work = [], []
    for accuracy in (1e-4, 1e-6, 1e-8):
        engine = Engine(double_pendulum(), NativeSettings(name, accuracy))
        engine.bodies.y[0], engine.bodies.step_size_s[0] = START, 1e-4
        engine.advance(0.12)
        errors.append(float(np.abs(engine.bodies.y[0] - truth()).max()))
        work.append(int(engine.bodies.evaluations[0]))
    assert errors[0] > 5 * errors[1] > 25 * errors[2]
    assert work[0] < work[1] < work[2]


@pytest.mark.parametrize("duration_s", [1e-9, 1e-5, 0.0037, 0.01, 0.25])
def test_a_call_ends_exactly_where_it_should(duration_s: float) -> None:
    # A body on a pin without weight or torque turns evenly, whatever the steps are.
    of = model([body("wheel")], [pin(GROUND, "wheel", "q")], gravity=(0, 0, 0))
    engine = Engine(of, NativeSettings())
    engine.bodies.y[0], engine.bodies.step_size_s[0] = (0.0, 1.0), 1e-4
    engine.advance(duration_s)
    assert engine.bodies.y[0, 0] == pytest.approx(duration_s, rel=1e-10)
    assert 0 < engine.bodies.step_size_s[0] <= 0.01


def test_no_time_moves_nothing_and_describes_what_is_there() -> None:
    engine = Engine(double_pendulum(), NativeSettings())
    engine.bodies.y[0] = START
    engine.advance(0.0)
    assert engine.bodies.y[0].tolist() == list(START)
    assert engine.bodies.state[0, engine.layout.where("joint_pos")].tolist() == list(START[:2])
    assert engine.bodies.ydot[0, :2].tolist() == list(START[2:])
    assert engine.bodies.evaluations[0] == 0


@cache
def prosthetic() -> BodyModel:
    return read_model(model_path("3D_pros"))


def crowd(bodies: int, settings: NativeSettings | None = None, threads: int = 1) -> Engine:
    """Bodies in very different states: some stand, some tumble fast, with steps of their own."""
    engine = Engine(prosthetic(), settings or NativeSettings(), bodies, threads)
    start, rng = engine.start(), np.random.default_rng(0)
    engine.bodies.y[:] = start
    scale = 10.0 ** rng.uniform(-4, 0, (bodies, 1))
    engine.bodies.y[:, :14] += 0.2 * scale * rng.normal(0, 1, (bodies, 14))
    engine.bodies.y[:, 14:28] = 5 * scale * rng.normal(0, 1, (bodies, 14))
    engine.bodies.excitation[:] = rng.random((bodies, 19))
    engine.bodies.step_size_s[:] = 10.0 ** rng.uniform(-5, -2, bodies)
    return engine


def fields(engine: Engine) -> tuple[NDArray[Any], ...]:
    b = engine.bodies
    return b.y, b.ydot, b.state, b.step_size_s, b.evaluations, b.failed


def columns(engine: Engine) -> tuple[NDArray[Any], ...]:
    """What an engine keeps of each body."""
    return (*fields(engine), engine.bodies.excitation)


def advance_alone(together: Engine, steps: int) -> Engine:
    """Each of the bodies in an engine of its own; returns an engine that holds their results."""
    alone = Engine(prosthetic(), together.settings)
    for i in range(together.number):
        for mine, theirs in zip(columns(alone), columns(together), strict=True):
            mine[0] = theirs[i]
        for _ in range(steps):
            alone.advance(0.01)
        for mine, theirs in zip(columns(alone), columns(together), strict=True):
            theirs[i] = mine[0]
    return together


@pytest.mark.parametrize(
    "settings",
    [
        NativeSettings(),
        NativeSettings("DormandPrince54", 1e-7),
        NativeSettings("RungeKuttaMerson", 5e-5, stale_controls=True),
    ],
    ids=lambda one: one.name,
)
def test_a_body_s_way_does_not_depend_on_its_neighbours_bit_for_bit(settings: NativeSettings) -> None:
    together = crowd(13, settings)
    for _ in range(2):
        together.advance(0.01)
    alone = advance_alone(crowd(13, settings), 2)
    for one, other in zip(fields(together), fields(alone), strict=True):
        assert one.tobytes() == other.tobytes()
    assert together.bodies.evaluations.max() > 3 * together.bodies.evaluations.min()


def test_a_forked_process_starts_threads_of_its_own() -> None:
    several = crowd(25, threads=2)
    several.advance(0.001)
    expected, child = crowd(25), os.fork()
    if child == 0:
        signal.alarm(60)  # a child that waits for its parent's threads must not outlive the test
        several.advance(0.001)
        os._exit(0 if several.bodies.y[:, 0].all() else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    several.advance(0.001)
    for _ in range(2):
        expected.advance(0.001)
    np.testing.assert_array_equal(several.bodies.y, expected.bodies.y)


def test_threads_change_nothing() -> None:
    one, several = crowd(25), crowd(25, threads=3)
    one.advance(0.01)
    several.advance(0.01)
    several.close()
    for mine, theirs in zip(fields(one), fields(several), strict=True):
        assert mine.tobytes() == theirs.tobytes()


def test_a_body_that_can_not_go_on_fails_and_leaves_the_others_alone() -> None:
    broken, whole = crowd(11), crowd(11)
    broken.bodies.excitation[2, 5] = np.nan
    broken.bodies.y[4, 17] = np.nan
    broken.bodies.y[7, 14:28] = 1e200
    broken.bodies.y[9, 3] = np.inf
    broken.advance(0.01)
    whole.advance(0.01)
    assert np.flatnonzero(broken.bodies.failed).tolist() == [2, 4, 7, 9]
    assert not whole.bodies.failed.any()
    fine = [0, 1, 3, 5, 6, 8, 10]
    for mine, theirs in zip(fields(broken), fields(whole), strict=True):
        assert mine[fine].tobytes() == theirs[fine].tobytes()


def test_a_failed_body_can_be_started_again() -> None:
    engine, fresh = crowd(1), crowd(1)
    engine.bodies.excitation[0, 0] = np.nan
    engine.advance(0.01)
    assert engine.bodies.failed[0] == 1
    for name in ("y", "excitation", "step_size_s"):
        getattr(engine.bodies, name)[0] = getattr(fresh.bodies, name)[0]
    engine.advance(0.01)
    fresh.advance(0.01)
    assert engine.bodies.failed[0] == 0
    assert engine.bodies.state.tobytes() == fresh.bodies.state.tobytes()


STALE = NativeSettings("RungeKuttaMerson", 5e-5, stale_controls=True)


@pytest.mark.parametrize("settings", [NativeSettings(), STALE], ids=lambda one: one.name)
def test_a_snapshot_in_the_middle_of_an_episode_is_exact_also_in_another_body(settings: NativeSettings) -> None:
    physics, other = (NativePhysics(model_path("3D_pros"), settings) for _ in range(2))
    actions = np.random.default_rng(1).random((14, 19))
    physics.reset()
    for action in actions[:7]:
        physics.step(action)
    snapshot = physics.snapshot()
    first = [physics.step(action).tobytes() for action in actions[7:]]
    for body_ in (physics, other):
        body_.restore(snapshot)
        assert [body_.step(action).tobytes() for action in actions[7:]] == first


def digest() -> str:
    """Of a crowd's states after three steps."""
    engine = crowd(9)
    for _ in range(3):
        engine.advance(0.01)
    return hashlib.sha256(engine.bodies.state.tobytes()).hexdigest()


def test_another_process_gets_the_same_bits() -> None:
    code = "from tests.environment.native.test_integration import digest; print(digest())"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == digest()


def test_an_engine_for_nobody_is_refused() -> None:
    for number, threads in ((0, 1), (1, 0), (-3, 2)):
        with pytest.raises(ValueError, match="at least one body and one thread"):
            Engine(double_pendulum(), NativeSettings(), number, threads)
