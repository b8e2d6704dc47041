"""One contract, three bodies: the fake one, OpenSim's and the native engine's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from environment.physics.contract import Physics
from environment.physics.models import model_path
from environment.physics.settings import OpenSimSettings
from tests.fakes import FakePhysics

Make = Callable[[], Physics]


def opensim_body(settings: OpenSimSettings | None = None) -> Physics:
    from environment.physics.opensim import OpenSimPhysics

    return OpenSimPhysics(model_path("3D_pros"), settings or OpenSimSettings(accuracy=1e-3))


def native_body() -> Physics:
    from environment.physics.native.physics import NativePhysics

    return NativePhysics(model_path("3D_pros"))


MAKERS: dict[str, Make] = {"fake": FakePhysics, "opensim": opensim_body, "native": native_body}


@pytest.fixture(params=["fake", "native", pytest.param("opensim", marks=pytest.mark.opensim)])
def make(request: pytest.FixtureRequest) -> Make:
    return MAKERS[request.param]


@pytest.fixture
def physics(make: Make) -> Physics:
    body = make()
    body.reset()
    return body


def excitations(physics: Physics, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((steps, len(physics.muscles)))


def play(physics: Physics, actions: np.ndarray) -> np.ndarray:
    return np.stack([physics.step(action) for action in actions])


def test_it_says_what_it_is(physics: Physics) -> None:
    assert physics.name
    assert len(set(physics.muscles)) == len(physics.muscles) > 0
    assert len(physics.model_sha256) == 64
    for muscle in physics.muscles:
        assert f"muscles/{muscle}/activation" in physics.layout.index


def test_reset_and_step_give_one_finite_number_per_entry_of_the_layout(physics: Physics) -> None:
    for state in (physics.reset(), physics.step(np.full(len(physics.muscles), 0.5))):
        assert state.shape == (physics.layout.size,)
        assert state.dtype == np.float64
        assert np.isfinite(state).all()


def test_the_walker_starts_upright_and_its_state_has_no_target(physics: Physics) -> None:
    start = physics.reset()
    assert 0.85 < start[physics.layout.index["body_pos/pelvis/y"]] < 1.05
    assert not [name for name in physics.layout.names if name.startswith("target")]


def test_the_same_excitations_after_a_reset_give_the_same_states_bit_for_bit(physics: Physics) -> None:
    actions = excitations(physics, 12)
    first_start, first = physics.reset(), play(physics, actions)
    play(physics, excitations(physics, 3, seed=9))
    second_start, second = physics.reset(), play(physics, actions)
    assert first_start.tobytes() == second_start.tobytes()
    assert first.tobytes() == second.tobytes()


def test_different_excitations_give_different_states(physics: Physics) -> None:
    first = play(physics, excitations(physics, 3, seed=1))
    physics.reset()
    assert not np.array_equal(first, play(physics, excitations(physics, 3, seed=2)))


def test_two_in_one_process_stepped_in_turn_equal_two_stepped_alone(make: Make) -> None:
    one, other = make(), make()
    plans = excitations(one, 8, seed=1), excitations(other, 8, seed=2)
    alone = []
    for body, plan in zip((one, other), plans, strict=True):
        body.reset()
        alone.append(play(body, plan))
    one.reset(), other.reset()
    in_turn = [
        np.stack(states)
        for states in zip(*((one.step(a), other.step(b)) for a, b in zip(*plans, strict=True)), strict=True)
    ]
    assert in_turn[0].tobytes() == alone[0].tobytes()
    assert in_turn[1].tobytes() == alone[1].tobytes()


def test_a_state_once_given_does_not_change_later(physics: Physics) -> None:
    state = physics.step(np.full(len(physics.muscles), 0.5))
    before = state.copy()
    physics.step(np.full(len(physics.muscles), 1.0))
    assert np.array_equal(state, before)


@pytest.mark.parametrize("wrong", [1.0001, -0.0001, 5.0, -1.0, np.nan, np.inf])
def test_an_excitation_out_of_its_range_is_refused_and_moves_nothing(physics: Physics, wrong: float) -> None:
    before = physics.snapshot()
    excitation = np.full(len(physics.muscles), 0.5)
    excitation[1] = wrong
    with pytest.raises(ValueError, match="excitation of muscle 1"):
        physics.step(excitation)
    after = physics.snapshot()
    assert (after.step, after.y.tobytes()) == (before.step, before.y.tobytes())


def test_a_refused_excitation_leaves_no_trace_in_what_follows(physics: Physics) -> None:
    actions = excitations(physics, 4)
    clean = play(physics, actions)
    physics.reset()
    play(physics, actions[:2])
    with pytest.raises(ValueError, match="must be in"):
        physics.step(np.full(len(physics.muscles), -1.0))
    assert np.array_equal(play(physics, actions[2:]), clean[2:])


@pytest.mark.parametrize("missing", [1, -1])
def test_an_excitation_of_another_shape_is_refused(physics: Physics, missing: int) -> None:
    with pytest.raises(ValueError, match=r"excitation has shape .* was the policy made for another model"):
        physics.step(np.zeros(len(physics.muscles) - missing))
    with pytest.raises(ValueError, match="excitation has shape"):
        physics.step(np.zeros((1, len(physics.muscles))))


def test_the_whole_range_is_accepted(physics: Physics) -> None:
    lowest = physics.step(np.zeros(len(physics.muscles)))
    highest = physics.step(np.ones(len(physics.muscles), np.float32))
    assert np.isfinite(lowest).all()
    assert np.isfinite(highest).all()


def test_a_snapshot_says_when_it_was_taken_and_with_which_excitation(physics: Physics) -> None:
    actions = excitations(physics, 3)
    play(physics, actions)
    snapshot = physics.snapshot()
    assert snapshot.step == 3
    assert snapshot.time_s == pytest.approx(0.03, abs=1e-12)
    assert np.array_equal(snapshot.excitation, actions[-1])


def test_a_snapshot_does_not_change_when_the_simulation_goes_on(physics: Physics) -> None:
    physics.step(np.full(len(physics.muscles), 0.5))
    snapshot = physics.snapshot()
    before = snapshot.y.copy(), snapshot.excitation.copy()
    physics.step(np.ones(len(physics.muscles)))
    assert np.array_equal(snapshot.y, before[0])
    assert np.array_equal(snapshot.excitation, before[1])


@pytest.mark.parametrize("into", ["itself", "another"])
def test_a_state_stored_in_the_middle_of_an_episode_goes_on_as_it_did_there(make: Make, into: str) -> None:
    body = make()
    places = body.layout.where("body_pos", "joint_pos")
    actions = excitations(body, 30)
    body.reset()
    stored = play(body, actions[:15])[-1].astype(np.float32)
    after = play(body, actions[15:])
    other = body if into == "itself" else make()
    start = other.start_at(stored)
    kept = body.layout.continuous
    np.testing.assert_allclose(start[kept], stored[kept], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(start[places], stored[places], rtol=1e-6, atol=1e-6)
    assert (other.snapshot().step, other.snapshot().time_s) == (0, 0.0)
    again = play(other, actions[15:])
    assert other.snapshot().step == 15
    apart = np.abs(again[:, places] - after[:, places])
    # OpenSim's integrator remembers more of the past than one can give it back, which outweighs the rounding.
    first, later = (1e-4, 1e-3) if body.name.startswith("opensim") else (1e-6, 1e-5)
    assert apart[0].max() < first
    assert apart.max() < later


def test_the_same_start_gives_the_same_states_bit_for_bit_whatever_was_before(make: Make) -> None:
    body, other = make(), make()
    actions = excitations(body, 8)
    body.reset()
    stored = play(body, actions)[-1].astype(np.float32)
    first = np.vstack((body.start_at(stored), play(body, actions)))
    again = np.vstack((body.start_at(stored), play(body, actions)))
    elsewhere = np.vstack((other.start_at(stored), play(other, actions)))
    assert first.tobytes() == again.tobytes() == elsewhere.tobytes()


def test_starting_in_the_reset_s_state_is_the_reset_but_for_the_last_digits(physics: Physics) -> None:
    start = physics.reset()
    np.testing.assert_allclose(physics.start_at(start), start, rtol=1e-7, atol=1e-5)


def test_a_push_moves_the_whole_body(physics: Physics) -> None:
    state = physics.reset()
    state[physics.layout.index["joint_vel/ground_pelvis/pelvis_tx"]] = 1.25
    pushed = physics.start_at(state)
    speeds = [i for i, name in enumerate(physics.layout.names) if name.startswith("body_vel/") and name.endswith("/x")]
    np.testing.assert_allclose(pushed[speeds], 1.25, atol=1e-9)


def test_a_reset_after_a_given_start_starts_anew(physics: Physics) -> None:
    start = physics.reset()
    physics.start_at(physics.step(np.full(len(physics.muscles), 0.5)))
    play(physics, excitations(physics, 3))
    assert physics.reset().tobytes() == start.tobytes()


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("joint_pos/ground_pelvis/pelvis_ty", np.nan, "pelvis_ty of the start state is not finite"),
        ("activation", 1.2, "is 1.2; it must be in 0..1"),
        ("fiber_length", -0.1, "a length can not be negative"),
    ],
)
def test_a_start_state_that_no_body_has_is_refused_and_moves_nothing(
    physics: Physics, entry: str, value: float, words: str
) -> None:
    state = physics.step(np.full(len(physics.muscles), 0.5))
    before = physics.snapshot()
    wrong = state.copy()
    wrong[physics.layout.index[entry] if "/" in entry else physics.layout.ending("muscles", entry)[0]] = value
    with pytest.raises(ValueError, match=words):
        physics.start_at(wrong)
    with pytest.raises(ValueError, match=r"start state has shape .* without a target"):
        physics.start_at(np.append(state, [1.25, 0.0, 0.0]))
    assert physics.snapshot().y.tobytes() == before.y.tobytes()


@pytest.mark.parametrize("kind", ["native", pytest.param("opensim", marks=pytest.mark.opensim)])
def test_a_start_state_with_a_locked_coordinate_elsewhere_is_refused(kind: str) -> None:
    physics = MAKERS[kind]()
    state = physics.reset()
    state[physics.layout.index["joint_pos/back/lumbar_extension"]] = 0.3
    with pytest.raises(ValueError, match=r"lumbar_extension of the start state is 0.3, this model locks it at -0.087"):
        physics.start_at(state)


@pytest.mark.opensim
def test_opensim_with_its_locked_coordinates_constrained_starts_there_as_well() -> None:
    body, welded = opensim_body(OpenSimSettings(accuracy=1e-3, weld_locked=False)), opensim_body()
    body.reset()
    stored = play(body, excitations(body, 3))[-1].astype(np.float32)
    np.testing.assert_allclose(body.start_at(stored), welded.start_at(stored), rtol=1e-4, atol=1e-4)


@pytest.mark.opensim
def test_native_and_opensim_say_the_same_of_a_start() -> None:
    native, opensim = native_body(), opensim_body()
    native.reset()
    stored = play(native, excitations(native, 12))[-1].astype(np.float32)
    ours, theirs = native.start_at(stored), opensim.start_at(stored)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("into", ["itself", "another"])
def test_restore_continues_within_a_tenth_of_a_millimetre(make: Make, into: str) -> None:
    body = make()
    places = body.layout.where("body_pos")
    actions = excitations(body, 20)
    body.reset()
    moment = play(body, actions[:10])[-1]
    snapshot = body.snapshot()
    after = play(body, actions[10:])
    other = body if into == "itself" else make()
    restored = other.restore(snapshot)
    np.testing.assert_allclose(restored[places], moment[places], rtol=0, atol=1e-9)
    again = play(other, actions[10:])
    assert other.snapshot().step == 20
    assert np.abs(again[:, places] - after[:, places]).max() < 1e-4


def test_a_reset_after_a_restore_starts_anew(physics: Physics) -> None:
    start = physics.reset()
    play(physics, excitations(physics, 5))
    physics.restore(physics.snapshot())
    assert physics.reset().tobytes() == start.tobytes()
    assert physics.snapshot().step == 0
