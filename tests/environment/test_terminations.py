"""Falls and early aborts terminate; time limits truncate."""

from __future__ import annotations

import numpy as np
import pytest

from environment.shaping import ABORT_RULES
from environment.terminations import FALL, TIME_LIMIT, Ending, Termination
from tests.environment.hand_made import LAYOUT, standing, turned

LIMIT = 10
HOPELESS = {
    "lean": {"body_pos/head/x": 0.5},
    "hips_square": {"body_pos_rot/pelvis/y": 1.2},
    "head_within_bounds": {"body_pos/head/y": 1.1},
    "velocity": {"body_vel/pelvis/x": -0.4},
    "knees_bent": {"joint_pos/knee_r/knee_angle_r": 0.25},
}
STILL_WELL = {
    "lean": {"body_pos/head/x": 0.4},
    "hips_square": {"body_pos_rot/pelvis/y": 0.9},
    "head_within_bounds": {"body_pos/head/y": 1.3},
    "velocity": {"body_vel/pelvis/x": -0.2},
    "knees_bent": {"joint_pos/knee_r/knee_angle_r": 0.15},
}


def at_height(height_m: float) -> np.ndarray:
    return standing({"body_pos/pelvis/y": height_m})


def test_a_fall_is_strictly_below_sixty_centimetres() -> None:
    ends = Termination(LAYOUT, LIMIT)
    assert ends(at_height(0.6), 1) is None
    assert ends(at_height(np.nextafter(0.6, 0.0)), 1) == Ending(FALL, terminated=True)


def test_a_fall_on_the_very_last_step_is_terminated_and_not_truncated() -> None:
    ending = Termination(LAYOUT, LIMIT)(at_height(0.5), LIMIT)
    assert ending is not None
    assert (ending.reason, ending.terminated, ending.truncated) == (FALL, True, False)


def test_the_time_limit_truncates_at_its_step_and_not_before() -> None:
    ends = Termination(LAYOUT, LIMIT)
    assert ends(standing(), LIMIT - 1) is None
    ending = ends(standing(), LIMIT)
    assert ending is not None
    assert (ending.reason, ending.terminated, ending.truncated) == (TIME_LIMIT, False, True)


def test_every_abort_rule_is_tried_here() -> None:
    assert set(HOPELESS) == set(STILL_WELL) == set(ABORT_RULES)


@pytest.mark.parametrize("rule", sorted(ABORT_RULES))
@pytest.mark.parametrize("yaw_rad", [0.0, 2.5])
def test_an_abort_rule_fires_where_it_should_and_only_there(rule: str, yaw_rad: float) -> None:
    ends = Termination(LAYOUT, LIMIT, [rule])
    assert ends(turned(standing(STILL_WELL[rule]), yaw_rad), 1) is None
    assert ends(turned(standing(HOPELESS[rule]), yaw_rad), 1) == Ending(f"abort: {rule}", terminated=True)


@pytest.mark.parametrize("rule", sorted(ABORT_RULES))
def test_abort_rules_are_off_unless_asked_for(rule: str) -> None:
    assert Termination(LAYOUT, LIMIT)(standing(HOPELESS[rule]), 1) is None


def test_leaning_back_too_far_aborts_like_leaning_forward() -> None:
    ending = Termination(LAYOUT, LIMIT, ["lean"])(standing({"body_pos/head/x": -0.5}), 1)
    assert ending == Ending("abort: lean", terminated=True)


def test_an_unknown_rule_is_refused_with_those_that_exist() -> None:
    with pytest.raises(KeyError, match="no early-abort rule 'sneeze'; there are lean, hips_square"):
        Termination(LAYOUT, LIMIT, ["lean", "sneeze"])


def test_a_time_limit_of_no_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="time limit is 0 control steps"):
        Termination(LAYOUT, 0)


@pytest.mark.parametrize("rules", [["lean", "velocity"], ["velocity", "lean"]])
def test_a_fall_counts_before_the_rules_and_these_in_the_order_they_are_named(rules: list[str]) -> None:
    ends = Termination(LAYOUT, LIMIT, rules)
    both = HOPELESS["lean"] | HOPELESS["velocity"]
    assert ends(standing(both), LIMIT) == Ending(f"abort: {rules[0]}", terminated=True)
    assert ends(standing(both | {"body_pos/pelvis/y": 0.5}), LIMIT) == Ending(FALL, terminated=True)


def test_many_states_are_judged_as_one_by_one() -> None:
    ends = Termination(LAYOUT, LIMIT, ["lean"])
    states = np.stack([standing(), standing(HOPELESS["lean"]), at_height(0.5), standing(), standing(HOPELESS["lean"])])
    found = ends.batch(states, np.array([1, 1, LIMIT, LIMIT, LIMIT]))
    reasons = [ending and ending.reason for ending in (ends.endings[code] for code in found.tolist())]
    assert reasons == [None, "abort: lean", FALL, TIME_LIMIT, "abort: lean"]
