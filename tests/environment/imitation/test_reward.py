"""DeepMimic's terms in hand-worked numbers, on states of a gait."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from environment.imitation.features import Features
from environment.imitation.reference import Reference
from environment.imitation.reward import HOPELESS_M, NAMES, PUBLISHED_SHARE, Imitation, imitating
from environment.rewards import round2, walk
from tests.gaits import FIRST, gait, walked

LAYOUT = walked()[0].with_target()
TARGET = (1.25, 0.0, 0.0)
STATES = np.concatenate((walked()[1], np.tile(TARGET, (len(walked()[1]), 1))), axis=1)
REFERENCE = Reference.of(gait(), LAYOUT)
IMITATION = Imitation(REFERENCE, LAYOUT)
ROWS = len(REFERENCE.table) - 1


class Still:
    """A motion that rests in one state; stands in for a table whose seam would blur the hand-worked numbers."""

    def __init__(self, state: NDArray[np.float64]) -> None:
        features = Features(LAYOUT)
        table = np.repeat(features(state[None], np.zeros(1)), 3, axis=0)
        self.reference = Reference("still", 1.0, table, features, 0.0, "0" * 64)
        self.imitation = Imitation(self.reference, LAYOUT)

    def terms(self, state: NDArray[np.float64]) -> dict[str, float]:
        return {name: float(value) for name, value in self.imitation.terms(state, np.array(0.3)).items()}


BODY = STATES[FIRST + 30].copy()
STILL = Still(BODY)


def changed(by: Mapping[str, float]) -> NDArray[np.float64]:
    state: NDArray[np.float64] = BODY.copy()
    for name, value in by.items():
        state[LAYOUT.index[name]] += value
    return state


def test_a_body_that_does_just_what_the_motion_does_earns_the_published_weights() -> None:
    assert STILL.terms(BODY) == pytest.approx(
        {
            "imitate_pose": 0.65,
            "imitate_velocity": 0.1,
            "imitate_end_effector": 0.15,
            "imitate_center_of_mass": 0.1,
        }
    )


@pytest.mark.parametrize(
    ("by", "name", "wanted"),
    [
        ({"joint_pos/hip_l/hip_flexion_l": 0.3, "joint_pos/knee_r/knee_angle_r": -0.4}, "pose", 0.65 * np.exp(-0.5)),
        ({"joint_vel/hip_l/hip_flexion_l": 3.0, "joint_vel/knee_l/knee_angle_l": 1.0}, "velocity", 0.1 * np.exp(-1.0)),
        ({"body_vel_rot/pelvis/y": -2.0}, "velocity", 0.1 * np.exp(-0.4)),
        ({"body_pos/pros_foot_r/y": 0.1, "body_pos/head/y": -0.1}, "end_effector", 0.15 * np.exp(-0.8)),
        ({"misc/mass_center_pos/y": -0.2}, "center_of_mass", 0.1 * np.exp(-0.4)),
        ({"misc/mass_center_vel/x": 0.3, "misc/mass_center_vel/z": 0.1}, "center_of_mass", 0.1 * np.exp(-1.0)),
    ],
)
def test_terms_by_hand(by: Mapping[str, float], name: str, wanted: float) -> None:
    found, still = STILL.terms(changed(by)), STILL.terms(BODY)
    assert found.pop(f"imitate_{name}") == pytest.approx(wanted)
    del still[f"imitate_{name}"]
    assert found == pytest.approx(still)


@pytest.mark.parametrize("name", ["joint_pos/ankle_r/ankle_angle_r", "body_pos/pelvis/x", "misc/mass_center_pos/z"])
def test_neither_the_passive_ankle_nor_the_place_is_compared(name: str) -> None:
    moved = {name: 0.5}
    if name == "body_pos/pelvis/x":  # all of the body goes along
        moved = {f"body_pos/{body}/x": 0.5 for body in LAYOUT.children("body_pos")}
    assert STILL.terms(changed(moved)) == pytest.approx(STILL.terms(BODY))


def test_the_heading_is_the_target_s_and_where_none_is_asked_for_the_body_s_own() -> None:
    aside = BODY.copy()
    aside[-3:] = (1.25 * np.cos(0.4), 0.0, -1.25 * np.sin(0.4))  # asked to go 0.4 rad to the left of where it goes
    off = float(STILL.reference.table[0, STILL.reference.features.yaw])
    assert STILL.terms(aside)["imitate_pose"] == pytest.approx(0.65 * np.exp(-2.0 * 0.4**2), rel=1e-9)
    standing = BODY.copy()
    standing[-3:] = 0.0
    assert STILL.terms(standing)["imitate_pose"] == pytest.approx(0.65 * np.exp(-2.0 * off**2), rel=1e-9)


def test_one_state_and_a_batch_are_judged_alike_to_the_last_bit() -> None:
    rows = STATES[FIRST - 60 : FIRST + 60].astype(np.float32)
    phases = np.linspace(0.0, 0.999, len(rows))
    terms, far = IMITATION.terms(rows, phases), IMITATION.distance_m(rows, phases)
    shaped = IMITATION.terms(rows.reshape(8, 15, -1), phases.reshape(8, 15))
    for row, phase in enumerate(phases):
        one = IMITATION.terms(rows[row], phase)
        assert [float(value) for value in one.values()] == [float(terms[name][row]) for name in one]
        assert float(IMITATION.distance_m(rows[row], phase)) == far[row]
    assert all((shaped[name].reshape(-1) == terms[name]).all() and shaped[name].shape == (8, 15) for name in terms)


def test_the_motion_itself_earns_nearly_all_and_the_same_half_a_cycle_later_little() -> None:
    rows = STATES[FIRST : FIRST + ROWS]
    start = REFERENCE.start_phase(rows[0].astype(np.float32))
    phases = np.mod(start + np.arange(ROWS) / ROWS, 1.0)
    whole = sum(value.mean() for value in IMITATION.terms(rows, phases).values())
    late = sum(value.mean() for value in IMITATION.terms(rows, np.mod(phases + 0.5, 1.0)).values())
    assert whole > 0.75
    assert late < 0.35


def test_the_task_s_reward_is_mixed_in_and_every_term_keeps_its_name() -> None:
    base = walk(LAYOUT)
    mixed = imitating(base, IMITATION, PUBLISHED_SHARE)
    rows, phases = STATES[FIRST : FIRST + 20], np.linspace(0, 0.2, 20)
    found, task, alike = mixed.evaluate(rows, phases), base.evaluate(rows), IMITATION.terms(rows, phases)
    assert tuple(found) == mixed.names == (*base.terms, *NAMES)
    for name in task:
        np.testing.assert_allclose(found[name], 0.3 * task[name], rtol=1e-12)
    for name in alike:
        np.testing.assert_allclose(found[name], 0.7 * alike[name], rtol=1e-12)
    assert mixed.name == "0.3*walk/1+0.7*imitate/1:walk@"  # and the file's sum, where there is a file


def test_a_reward_without_the_phase_it_needs_is_an_error_and_no_number() -> None:
    with pytest.raises(ValueError, match="needs the phase"):
        imitating(round2(LAYOUT), IMITATION, 0.7).evaluate(STATES[:3])


def test_a_body_is_hopeless_when_feet_and_head_are_far_off() -> None:
    assert not IMITATION.strayed(STATES[FIRST : FIRST + ROWS], np.arange(ROWS) / ROWS).any()
    # In the default pose it has all of the cycle to set out.
    assert not IMITATION.strayed(np.tile(STATES[0], (ROWS, 1)), np.arange(ROWS) / ROWS).any()
    sunk = BODY.copy()
    for body in ("pros_foot_r", "calcn_l", "head"):
        sunk[LAYOUT.index[f"body_pos/{body}/y"]] -= HOPELESS_M + 0.01
    assert STILL.imitation.strayed(sunk, np.array(0.0))
    sunk[LAYOUT.index["body_pos/head/y"]] += 0.1
    assert not STILL.imitation.strayed(sunk, np.array(0.0))
