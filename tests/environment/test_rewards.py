"""The challenge's rewards in hand-worked numbers; shaped terms by sign."""

from __future__ import annotations

import numpy as np
import pytest

from environment import rewards
from environment.config import EnvironmentConfig
from environment.prosthetics import ProstheticsEnv
from environment.rewards import TASK_REWARDS, Reward, build_reward, shaped
from environment.shaping import SHAPED_TERMS
from environment.state import Entry, StateLayout
from tests.environment.hand_made import LAYOUT, any_state, standing, turned
from tests.fakes import MUSCLES

WALKING = {"body_vel/pelvis/x": 1.0, "body_vel/pelvis/z": 0.5}
NO_TERM = 1e-12


def total(reward: Reward, state: np.ndarray) -> float:
    return float(sum(reward.evaluate(state).values()))


def term(name: str, state: np.ndarray) -> float:
    return float(SHAPED_TERMS[name](LAYOUT)(state))


def test_round_one_by_hand() -> None:
    terms = rewards.round1(LAYOUT).evaluate(standing(WALKING))
    assert {name: float(value) for name, value in terms.items()} == {"alive": 9.0, "velocity": -4.0}


def test_round_one_looks_at_three_metres_a_second_whatever_the_target_says() -> None:
    reward = rewards.round1(LAYOUT)
    assert total(reward, standing({"body_vel/pelvis/x": 3.0}, target=(0.0, 0.0, 9.0))) == 9.0


def test_round_two_by_hand() -> None:
    state = standing(
        {**WALKING, "muscles/push_a/activation": 0.5, "muscles/pull_b/activation": 1.0}, target=(1.25, 0.0, -0.5)
    )
    terms = {name: float(value) for name, value in rewards.round2(LAYOUT).evaluate(state).items()}
    assert terms == pytest.approx(
        {"alive": 10.0, "velocity_forward": -0.0625, "velocity_lateral": -1.0, "effort": -0.00125}
    )


def test_round_two_looks_at_ground_axes_and_not_at_where_the_walker_faces() -> None:
    reward = rewards.round2(LAYOUT)
    assert total(reward, standing({**WALKING, "body_pos_rot/pelvis/y": 1.0})) == total(reward, standing(WALKING))


def test_walk_by_hand() -> None:
    state = standing(
        {**WALKING, "muscles/push_a/activation": 0.5, "muscles/pull_b/activation": 1.0}, target=(1.25, 0.0, 0.0)
    )
    terms = {name: float(value) for name, value in rewards.walk(LAYOUT).evaluate(state).items()}
    # |v - v*|^2 = 0.25^2 + 0.5^2 = 0.3125, a fifth of 1.25^2.
    assert terms == pytest.approx({"alive": 0.2, "velocity": 0.8, "effort": -0.0008})


def test_walk_pays_a_body_at_rest_a_sixth_of_one_that_does_what_is_asked() -> None:
    reward, target = rewards.walk(LAYOUT), (1.25, 0.0, 0.0)
    assert total(reward, standing({}, target=target)) == pytest.approx(0.2)
    assert total(reward, standing({"body_vel/pelvis/x": 1.25}, target=target)) == pytest.approx(1.2)


def test_no_step_of_walk_costs_anything_even_in_a_fast_fall_with_every_muscle_at_its_most() -> None:
    falling = {"body_vel/pelvis/x": -9.0, **{f"muscles/{name}/activation": 1.0 for name in MUSCLES}}
    assert 0.0 < total(rewards.walk(LAYOUT), standing(falling, target=(1.25, 0.0, 0.0))) < 0.03


@pytest.mark.parametrize("name", sorted(TASK_REWARDS))
def test_a_batch_is_judged_like_its_states_one_by_one(name: str) -> None:
    weights = dict.fromkeys(SHAPED_TERMS, 0.7)
    reward = shaped(TASK_REWARDS[name](LAYOUT), LAYOUT, weights)
    states = np.stack([any_state(seed) for seed in range(6)]).astype(np.float32)
    batch = reward.evaluate(states.reshape(2, 3, -1))
    for term_name, values in batch.items():
        one_by_one = [float(reward.evaluate(state)[term_name]) for state in states]
        assert values.shape == (2, 3), term_name
        np.testing.assert_allclose(values.reshape(-1), one_by_one, rtol=1e-6, atol=1e-6, err_msg=term_name)


@pytest.mark.parametrize("name", sorted(TASK_REWARDS))
def test_judging_leaves_the_states_as_they_are(name: str) -> None:
    state = any_state(3)
    before = state.tobytes()
    state.flags.writeable = False
    shaped(TASK_REWARDS[name](LAYOUT), LAYOUT, dict.fromkeys(SHAPED_TERMS, 1.0)).evaluate(state)
    assert state.tobytes() == before


@pytest.mark.parametrize("name", sorted(TASK_REWARDS))
def test_shaped_terms_are_off_by_default(name: str) -> None:
    base = TASK_REWARDS[name](LAYOUT)
    assert shaped(base, LAYOUT, {}) is base
    assert not [term_name for term_name in base.terms if term_name.startswith("shaped_")]


def test_shaping_adds_weighted_terms_and_keeps_the_task_s_own() -> None:
    base = rewards.round2(LAYOUT)
    state = standing({**WALKING, "body_pos/head/x": 0.4})
    with_shaping = shaped(base, LAYOUT, {"lean": 0.5, "forward_velocity": 2.0})
    terms = with_shaping.evaluate(state)
    own = base.evaluate(state)
    assert {name: terms[name] for name in own} == own
    assert set(terms) - set(own) == {"shaped_lean", "shaped_forward_velocity"}
    assert terms["shaped_lean"] == pytest.approx(-0.5)  # 0.2 m beyond the free 0.2 m is -1, times 0.5
    assert terms["shaped_forward_velocity"] == pytest.approx(2.0)
    assert total(with_shaping, state) == pytest.approx(total(base, state) + 1.5)


def test_the_name_tells_the_weights_in_whatever_order_they_were_given() -> None:
    base = rewards.round1(LAYOUT)
    one, other = (
        shaped(base, LAYOUT, dict(pairs)).name
        for pairs in ((("lean", 0.5), ("feet_apart", 1.0)), (("feet_apart", 1.0), ("lean", 0.5)))
    )
    assert one == other
    assert one not in (base.name, shaped(base, LAYOUT, {"lean": 0.6, "feet_apart": 1.0}).name)


def test_a_reward_is_found_by_its_name_and_an_unknown_one_names_those_that_exist() -> None:
    found = build_reward("round1", LAYOUT, {"lean": 0.5})
    assert found.name == "round1/1+lean=0.5"
    assert list(found.terms) == ["alive", "velocity", "shaped_lean"]
    with pytest.raises(KeyError, match="no reward 'round3'; there are round1, round2"):
        build_reward("round3", LAYOUT, {})


def test_an_unknown_shaped_term_is_refused_with_those_that_exist() -> None:
    with pytest.raises(KeyError, match="no shaped reward 'smile'; there are forward_velocity, lean"):
        shaped(rewards.round1(LAYOUT), LAYOUT, {"smile": 1.0})


@pytest.mark.parametrize("name", sorted(set(SHAPED_TERMS) - {"forward_velocity"}))
def test_standing_well_costs_nothing(name: str) -> None:
    assert term(name, standing()) == pytest.approx(0.0, abs=NO_TERM)


@pytest.mark.parametrize(
    ("name", "bad", "worse"),
    [
        ("lean", {"body_pos/head/x": 0.3}, {"body_pos/head/x": 0.5}),
        ("lean", {"body_pos/head/x": -0.3}, {"body_pos/head/x": -0.5}),
        ("hips_square", {"body_pos_rot/pelvis/y": 0.3}, {"body_pos_rot/pelvis/y": 0.9}),
        ("hips_square", {"body_pos_rot/pelvis/y": -0.3}, {"body_pos_rot/pelvis/y": -0.9}),
        ("knees_bent", {"joint_pos/knee_l/knee_angle_l": -0.1}, {"joint_pos/knee_l/knee_angle_l": 0.05}),
        ("knees_bent", {"joint_pos/knee_r/knee_angle_r": -0.1}, {"joint_pos/knee_r/knee_angle_r": 0.05}),
        ("head_within_bounds", {"body_pos/head/y": 1.4}, {"body_pos/head/y": 1.0}),
        ("head_within_bounds", {"body_pos/head/y": 1.8}, {"body_pos/head/y": 2.0}),
        ("feet_apart", {"body_pos/pros_foot_r/z": -0.08}, {"body_pos/pros_foot_r/z": -0.2}),
    ],
)
def test_a_bad_posture_costs_and_a_worse_one_costs_more(
    name: str, bad: dict[str, float], worse: dict[str, float]
) -> None:
    assert term(name, standing(worse)) < term(name, standing(bad)) < -NO_TERM


def test_both_knees_must_bend_and_flexion_counts_as_negative() -> None:
    both = {"joint_pos/knee_l/knee_angle_l": -0.2, "joint_pos/knee_r/knee_angle_r": -0.2}
    assert term("knees_bent", standing(both)) == 0.0
    assert term("knees_bent", standing({**both, "joint_pos/knee_r/knee_angle_r": 0.2})) == pytest.approx(-0.35 / 0.3)


def test_forward_velocity_is_positive_ahead_and_negative_backward() -> None:
    assert term("forward_velocity", standing({"body_vel/pelvis/x": 1.5})) == pytest.approx(1.5)
    assert term("forward_velocity", standing({"body_vel/pelvis/x": -1.5})) == pytest.approx(-1.5)
    assert term("forward_velocity", standing({"body_vel/pelvis/z": 1.5})) == pytest.approx(0.0)


def test_forward_is_where_the_pelvis_faces() -> None:
    facing_left = {"body_pos_rot/pelvis/y": np.pi / 2 - 1e-9, "body_vel/pelvis/z": -1.0}
    assert term("forward_velocity", standing(facing_left)) == pytest.approx(1.0)


def test_hips_are_square_when_they_face_the_target_to_either_side() -> None:
    to_the_right = np.arctan2(0.5, 1.0)
    right = {"body_pos_rot/pelvis/y": -to_the_right}
    assert term("hips_square", standing(right, target=(1.0, 0.0, 0.5))) == pytest.approx(0.0, abs=NO_TERM)
    assert term("hips_square", standing(right, target=(1.0, 0.0, -0.5))) < -0.5


def test_a_target_of_no_movement_asks_for_no_heading() -> None:
    assert term("hips_square", standing({"body_pos_rot/pelvis/y": 1.0}, target=(0.0, 0.0, 0.0))) == 0.0


@pytest.mark.parametrize("name", sorted(SHAPED_TERMS))
@pytest.mark.parametrize("yaw_rad", [0.7, -2.0, 3.0])
def test_turning_the_whole_world_changes_no_shaped_term(name: str, yaw_rad: float) -> None:
    for seed in range(5):
        state = any_state(seed)
        assert term(name, turned(state, yaw_rad)) == pytest.approx(term(name, state), abs=1e-9)


def test_effort_counts_every_muscle() -> None:
    reward = rewards.round2(LAYOUT)
    for muscle in MUSCLES:
        state = standing({f"muscles/{muscle}/activation": 1.0})
        assert float(reward.evaluate(state)["effort"]) == pytest.approx(-0.001)


def test_what_joints_are_stopped_with_costs_whatever_its_direction() -> None:
    limits = [
        Entry(f"forces/{joint}Limit_{side}/{joint}Limit_{side}", "N·m") for joint in ("Hip", "Knee") for side in "rl"
    ]
    energy = Entry("forces/HipLimit_r/PotentialEnergy", "J")
    layout = StateLayout((*limits, energy, Entry("forces/foot_l/ground.torque.X", "N·m")))
    cost = SHAPED_TERMS["joint_limits"](layout)
    assert cost(np.zeros((2, 6))).tolist() == [0.0, 0.0]
    assert float(cost(np.array([25.0, 0.0, -75.0, 0.0, 9.0, 80.0]))) == pytest.approx(-2.0)


def test_all_bodies_tell_the_torques_of_their_joints_limits() -> None:
    for task in ("prosthetics-round2", "intact-round2", "prosthetics-planar-round2"):
        environment = ProstheticsEnv(EnvironmentConfig(task=task))
        found = [
            name
            for name, unit in zip(environment.layout.names, environment.layout.units, strict=True)
            if "Limit" in name and unit == "N·m"
        ]
        assert {name.split("/")[1] for name in found} >= {
            f"{joint}Limit_{side}" for joint in ("Hip", "Knee") for side in "rl"
        }
        environment.close()
