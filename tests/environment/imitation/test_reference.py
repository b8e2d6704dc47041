"""A motion is repeated without a jump, and says at which of its moments a body is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from environment.imitation.features import CENTER_OF_MASS, POSE, VELOCITY
from environment.imitation.reference import FixedClock, Reference, phase_after, phases_of
from environment.motions.motion import MotionRefused
from environment.state import StateLayout
from tests.environment.hand_made import turned
from tests.gaits import FIRST, gait, walked
from tests.motions import simulated

LAYOUT, STATES = walked()
REFERENCE = Reference.of(gait(), LAYOUT)
ROWS = len(REFERENCE.table) - 1


def test_a_gait_is_one_stride_that_advances() -> None:
    assert 0.8 <= REFERENCE.period_s <= 1.0
    assert round(100 * REFERENCE.period_s) == ROWS
    assert 1.0 < REFERENCE.speed_m_per_s < 1.4
    ahead = REFERENCE.table[:, REFERENCE.features.groups[CENTER_OF_MASS]][:, 1]
    assert ahead.mean() == pytest.approx(REFERENCE.speed_m_per_s, abs=0.05)


def test_it_ends_where_it_begins_and_what_it_does_not_come_back_to_is_spread_over_it() -> None:
    assert (REFERENCE.table[0] == REFERENCE.table[-1]).all()
    steps = np.abs(np.diff(REFERENCE.table, axis=0))
    angles = steps[:, REFERENCE.features.groups[POSE]].max(axis=1)
    assert max(angles[0], angles[-1]) <= angles[1:-1].max()


def test_between_two_rows_is_what_lies_between_them_and_after_the_last_comes_the_first() -> None:
    phases = np.array([3.0, 3.25, ROWS - 0.5, 0.0]) / ROWS
    table = REFERENCE.table
    wanted = [table[3], 0.75 * table[3] + 0.25 * table[4], 0.5 * (table[-2] + table[0]), table[0]]
    np.testing.assert_allclose(REFERENCE.at(phases), wanted, atol=1e-9)


def test_a_body_in_a_row_of_the_motion_is_at_that_row_s_phase() -> None:
    in_the_cycle = {float(REFERENCE.start_phase(state)) for state in STATES[FIRST : FIRST + 121].astype(np.float32)}
    assert len(in_the_cycle) >= ROWS - 8  # of a stride and a half; few rows are more like a row of the other stride
    along = np.array([REFERENCE.start_phase(state) for state in STATES[FIRST : FIRST + ROWS].astype(np.float32)])
    steps = np.mod(np.diff(along), 1.0)
    assert (np.minimum(steps, 1.0 - steps) < 3.5 / ROWS).all()


def test_neither_what_is_asked_for_nor_the_place_nor_the_heading_changes_where_an_episode_begins() -> None:
    kept = [i for i, name in enumerate(LAYOUT.names) if not name.startswith(("forces", "muscles"))]
    layout = StateLayout(tuple(LAYOUT.entries[i] for i in kept)).with_target()
    whole = gait()
    reference = Reference.of(replace(whole, states=whole.states[:, kept]), layout)
    state = np.concatenate((STATES[FIRST + 30, kept], (1.25, 0.0, 0.0)))
    phase = reference.start_phase(state.astype(np.float32))
    assert phase == REFERENCE.start_phase(STATES[FIRST + 30].astype(np.float32)) > 0
    asked_otherwise = state.copy()
    asked_otherwise[-3:] = (0.0, 0.0, -2.0)
    assert reference.start_phase(asked_otherwise.astype(np.float32)) == phase
    assert reference.start_phase(turned(state, 2.0, layout).astype(np.float32)) == phase


def test_a_slowed_start_is_at_the_phase_of_its_pose() -> None:
    """Starts in motions may have their speeds scaled down."""
    speeds, off = LAYOUT.where("joint_vel", "body_vel_rot"), []
    for row in range(FIRST, FIRST + ROWS, 5):
        slowed = STATES[row].copy()
        slowed[speeds] *= 0.5
        apart = abs(REFERENCE.start_phase(slowed) - REFERENCE.start_phase(STATES[row]))
        off.append(min(apart, 1.0 - apart))
    assert np.median(off) <= 2 / ROWS
    assert max(off) < 0.15


def test_the_phase_goes_on_with_time_from_the_first_state_of_each_episode() -> None:
    first = np.array([0, 40])
    stored = np.concatenate((STATES[FIRST : FIRST + 40], STATES[FIRST + 10 : FIRST + 70])).astype(np.float32)
    phases = phases_of(REFERENCE, stored, first)
    starts = [REFERENCE.start_phase(stored[row]) for row in first]
    wanted = np.concatenate([np.mod(s + np.arange(n) / ROWS, 1.0) for s, n in zip(starts, (40, 60), strict=True)])
    np.testing.assert_allclose(np.exp(2j * np.pi * phases), np.exp(2j * np.pi * wanted), atol=1e-9)
    one = [float(phase_after(starts[1], step, REFERENCE.period_s)) for step in range(60)]
    assert phases[40:].tolist() == one  # to the last bit: the actor's are computed one by one


def test_a_fixed_clock_begins_where_it_is_told_to() -> None:
    clock = FixedClock(0.8, 0.25)
    assert phases_of(clock, np.zeros((41, 5)), np.zeros(1, int))[[0, 20, 40]] == pytest.approx([0.25, 0.5, 0.75])


def test_a_fall_is_refused_as_no_gait() -> None:
    layout, states = simulated(60)
    motion = gait()
    times_s = 0.01 * np.arange(len(states), dtype=np.float64)
    fallen = type(motion)("fall", times_s, states, 100.0, (), ())
    with pytest.raises(MotionRefused, match=r"motion 'fall' can not be repeated: .* cycle"):
        Reference.of(fallen, layout)


def test_the_prosthetic_ankle_is_asked_nothing_for_no_muscle_moves_it() -> None:
    names = REFERENCE.features.names
    assert not [name for name in names if "ankle_angle_r" in name]
    assert [name for name in names if "ankle_angle_l" in name] == [
        "joint_pos/ankle_l/ankle_angle_l",
        "joint_vel/ankle_l/ankle_angle_l",
    ]
    assert REFERENCE.features.groups[VELOCITY].stop - REFERENCE.features.groups[VELOCITY].start == 13
