"""The oracle: OpenSim asked at any states, checked by what it does not know of itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from environment.physics.opensim import OpenSimPhysics
from environment.physics.settings import OpenSimSettings
from infra.bench.fidelity.coverage import NotCovered, check_coverage
from infra.bench.fidelity.models import NAMES, fidelity_model_path
from infra.bench.fidelity.oracle import Array, Oracle, States
from infra.bench.fidelity.probe import Probe
from infra.bench.fidelity.rhs import BOUND, differences
from infra.bench.fidelity.states import Labelled, labelled

pytestmark = pytest.mark.opensim

PROSTHETIC = fidelity_model_path("3D_pros")
GRAVITY_M_PER_S2 = 9.80665
SHAPES = {
    "3D_pros": (14, 19, 412),
    "3D": (14, 22, 468),
    "2D_pros": (9, 19, 412),
    "2D": (9, 22, 468),
    "2017": (9, 18, 423),
    "2017_stiff": (9, 18, 411),
    "arm": (2, 6, 81),
}
"""Unlocked coordinates, muscles, numbers of the state."""


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle(PROSTHETIC)


@pytest.fixture(scope="module")
def sampled(oracle: Oracle) -> Labelled:
    return labelled(Probe(oracle), 1500, 1)


def vectors(oracle: Oracle, states: States) -> np.ndarray:
    return oracle.state_vectors(states.q, states.u, states.a, states.l, states.e)


def rates(oracle: Oracle, states: States) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return oracle.derivatives(states.q, states.u, states.a, states.l, states.e)


def some(found: Labelled, label: str, n: int = 20) -> States:
    return found.of(label)[:n]


@pytest.mark.parametrize("name", NAMES)
def test_each_model_has_its_coordinates_muscles_and_numbers(name: str) -> None:
    found = Oracle(fidelity_model_path(name))
    assert (len(found.coordinates), len(found.muscles), found.layout.size) == SHAPES[name]


@pytest.mark.parametrize("welded", [False, True])
def test_the_oracle_gives_the_states_of_the_reference_physics(oracle: Oracle, welded: bool) -> None:
    physics = OpenSimPhysics(PROSTHETIC, OpenSimSettings(weld_locked=welded))
    start = physics.reset()
    np.testing.assert_allclose(vectors(oracle, oracle.start())[0], start, rtol=1e-9, atol=1e-7)
    generator = np.random.default_rng(3)
    layout = physics.layout
    places = [layout.where("joint_pos"), layout.where("joint_vel")]
    free = [i for i, at in enumerate(places[0]) if layout.names[at].split("/")[-1] in oracle.coordinates]
    names = [layout.names[places[0][i]].split("/")[-1] for i in free]
    order = [free[names.index(name)] for name in oracle.coordinates]
    for _ in range(5):
        excitation = generator.random(19)
        reached = physics.step(excitation)
        states = States(
            q=reached[places[0][order]][None],
            u=reached[places[1][order]][None],
            a=reached[layout.ending("muscles", "activation")][None],
            l=reached[layout.ending("muscles", "fiber_length")][None],
            e=excitation[None],
        )
        # Activations and fibres are far from their clamps here, so their reported values are the states themselves.
        np.testing.assert_allclose(vectors(oracle, states)[0], reached, rtol=1e-7, atol=1e-6)


def test_what_stands_in_the_state_is_what_was_put_there_however_far_out(oracle: Oracle, sampled: Labelled) -> None:
    states = some(sampled, "limits")
    found, layout = vectors(oracle, states), oracle.layout
    for branch, given in (("joint_pos", states.q), ("joint_vel", states.u)):
        columns = {layout.names[i].split("/")[-1]: i for i in layout.where(branch)}
        assert (found[:, [columns[name] for name in oracle.coordinates]] == given).all()


def test_accelerations_in_the_state_are_the_derivatives(oracle: Oracle, sampled: Labelled) -> None:
    states, layout = some(sampled, "random"), oracle.layout
    columns = {layout.names[i].split("/")[-1]: i for i in layout.where("joint_acc")}
    found = vectors(oracle, states)[:, [columns[name] for name in oracle.coordinates]]
    udot, _, ldot = rates(oracle, states)
    assert (found == udot).all()
    assert (vectors(oracle, states)[:, layout.ending("muscles", "fiber_velocity")] == ldot).all()


def test_activation_is_neither_floored_nor_excitation_clamped(oracle: Oracle) -> None:
    start = oracle.start()
    activation = np.tile([[-0.1], [0.3], [1.2]], 19)
    excitation = np.tile([[0.0], [0.9], [1.5]], 19)
    states = start[np.zeros(3, int)]
    states = replace(states, a=activation, e=excitation)
    clamped, excited = np.clip(activation, 0.01, 1.0), states.e
    time_s = np.where(excited > clamped, 0.01 * (0.5 + 1.5 * clamped), 0.04 / (0.5 + 1.5 * clamped))
    np.testing.assert_allclose(rates(oracle, states)[1], (excited - clamped) / time_s, rtol=1e-12)


def test_the_mass_centre_is_pushed_by_weight_and_floor_alone(oracle: Oracle, sampled: Labelled) -> None:
    """Muscles, limits and the prosthesis's spring are inner forces: whatever they do, they cancel."""
    mass_kg = 72.17025
    layout = oracle.layout
    for label in ("random", "falling", "muscles", "contact", "contact-skip"):
        states = some(sampled, label, 60)
        found = vectors(oracle, states)
        floor = np.stack(
            [-sum(found[:, layout.index[f"forces/{foot}/ground.force.{axis}"]] for foot in ("pros_foot_r", "foot_l"))
             for axis in "XYZ"], axis=1)  # fmt: skip
        expected = floor / mass_kg - np.array([0.0, GRAVITY_M_PER_S2, 0.0])
        got = found[:, layout.where("misc/mass_center_acc")]
        size = np.maximum(1.0, np.abs(found[:, layout.where("body_acc")]).max(axis=1, keepdims=True))
        assert (np.abs(got - expected) / size).max() < 1e-9, label


def test_speeds_are_the_rates_at_which_positions_change(oracle: Oracle, sampled: Labelled) -> None:
    states, layout = some(sampled, "random"), oracle.layout
    h = 1e-6
    there, back = (States(states.q + s * h * states.u, states.u, states.a, states.l, states.e) for s in (1, -1))
    for position, speed in (("body_pos", "body_vel"), ("misc/mass_center_pos", "misc/mass_center_vel")):
        change = vectors(oracle, there) - vectors(oracle, back)
        expected = vectors(oracle, states)[:, layout.where(speed)]
        np.testing.assert_allclose(change[:, layout.where(position)] / (2 * h), expected, atol=1e-6, rtol=1e-6)


def test_the_order_of_questions_changes_no_answer(oracle: Oracle, sampled: Labelled) -> None:
    rows = np.random.default_rng(0).permutation(len(sampled.labels))[:200]
    straight, shuffled = rates(oracle, sampled.states), rates(oracle, sampled.states[rows])
    # A locked coordinate's constraint is solved from the last solution on: that is where the last digits come from.
    for one, other in zip(straight, shuffled, strict=True):
        size = np.maximum(1.0, np.abs(other).max(axis=1, keepdims=True))
        assert (np.abs(one[rows] - other) / size).max() < 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_the_states_of_every_model_meet_every_corner(name: str) -> None:
    probe = Probe(Oracle(fidelity_model_path(name)))
    found = labelled(probe, 1500, 2)
    counts = check_coverage(probe, found)
    assert len(found.labels) >= 1500
    assert min(counts.values()) >= 1
    values = vectors(probe.oracle, found.states)
    assert np.isfinite(values).all()


def test_the_same_seed_gives_the_same_states() -> None:
    first, again, other = (labelled(Probe(Oracle(fidelity_model_path("arm"))), 100, seed) for seed in (5, 5, 6))
    assert first.states.q.tobytes() == again.states.q.tobytes()
    assert first.states.l.tobytes() == again.states.l.tobytes()
    assert first.states.q.tobytes() != other.states.q.tobytes()


@pytest.mark.parametrize("label", ["muscles", "limits", "contact-skip", "thresholds"])
def test_states_that_leave_a_corner_out_are_refused(oracle: Oracle, sampled: Labelled, label: str) -> None:
    calm = sampled.of("standing")
    with pytest.raises(NotCovered, match=f"too few states for {label}: "):
        check_coverage(Probe(oracle), Labelled(calm, np.full(len(calm), label)))


def test_a_state_on_a_jump_is_refused(oracle: Oracle, sampled: Labelled) -> None:
    states = sampled.of("standing")
    states.q[0, oracle.coordinates.index("hip_flexion_r")] = 0.785398 + 1e-5
    with pytest.raises(NotCovered, match=r"hip_flexion_r is .* rad from where the equations jump"):
        check_coverage(Probe(oracle), Labelled(states, np.full(len(states), "standing")))


class Off:
    """OpenSim with one number changed."""

    def __init__(self, oracle: Oracle, part: int, by: float) -> None:
        self._oracle, self._part, self._by = oracle, part, by

    def derivatives(self, q: Array, u: Array, a: Array, l: Array, e: Array) -> tuple[Array, Array, Array]:  # noqa: E741
        found = self._oracle.derivatives(q, u, a, l, e)
        if self._part < 3:
            found[self._part][-1, -1] += self._by * max(1.0, np.abs(found[self._part][-1]).max())
        return found

    def state_vectors(self, q: Array, u: Array, a: Array, l: Array, e: Array) -> Array:  # noqa: E741
        found = self._oracle.state_vectors(q, u, a, l, e)
        if self._part == 3:
            found[-1, 40] += self._by * max(1e-3, abs(found[-1, 40]))
        return found


@pytest.mark.parametrize("part", [0, 1, 2, 3])
@pytest.mark.parametrize("by", [3e-9, np.nan])
def test_one_wrong_number_in_one_state_is_found(oracle: Oracle, sampled: Labelled, part: int, by: float) -> None:
    standing = Labelled(sampled.of("standing"), np.full(150, "standing"))
    (same,) = differences(oracle, oracle, standing)
    assert same.within
    assert max(same.acceleration, same.fiber_velocity, same.activation_rate) < BOUND / 1e3
    (wrong,) = differences(Off(oracle, part, by * (1e3 if part == 3 else 1)), oracle, standing)
    assert not wrong.within
    if part == 0:
        assert wrong.worst_state == 149
    if part == 3:
        assert wrong.worst_number == oracle.layout.names[40]
