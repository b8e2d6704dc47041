"""What both rounds pay stands beside whatever is learned for: their own numbers, for the very steps that were taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from environment import rewards
from environment.config import EnvironmentConfig
from environment.prosthetics import ProstheticsEnv
from environment.round_rewards import ROUNDS, RoundRewards
from environment.targets import ROUND1_TARGET_M_PER_S
from tests.environment.hand_made import LAYOUT, any_state, standing
from tests.fakes import FakePhysics

PUSH = np.array([0.6, 0.4, -0.2, -0.9], np.float32)
"""Carries the fake body's weight, and moves it on."""


def played(fails_at: int | None = None, **settings: Any) -> tuple[ProstheticsEnv, list[tuple[float, dict[str, Any]]]]:
    """Reward and info of every decision of an episode."""
    env = ProstheticsEnv(EnvironmentConfig(**settings), FakePhysics(fails_at=fails_at))
    _, info = env.reset(seed=1)
    found = []
    while info["ended"] is None:
        _, reward, _, _, info = env.step(PUSH)
        found.append((reward, info))
    return env, found


def test_both_rounds_by_hand_while_something_else_is_learned_for() -> None:
    state = standing({"body_vel/pelvis/x": 1.0, "body_vel/pelvis/z": 0.5})
    told = RoundRewards(LAYOUT, rewards.walk(LAYOUT)).evaluate(state, np.asarray(0.7))
    effort = 0.001 * float(np.square(state[LAYOUT.ending("muscles", "activation")]).sum())
    target = state[LAYOUT.where("target_vel")]
    assert float(told["round1"]) == 9.0 - 2.0**2
    assert float(told["round2"]) == pytest.approx(10.0 - (1.0 - target[0]) ** 2 - (0.5 - target[2]) ** 2 - effort)


@pytest.mark.parametrize("name", sorted(ROUNDS))
def test_a_round_that_is_learned_for_is_not_computed_again_and_would_be_the_same(name: str) -> None:
    states = np.stack([any_state(seed) for seed in range(6)])
    learned = ROUNDS[name](LAYOUT)
    paid = np.asarray(sum(learned.evaluate(states).values()))
    told = RoundRewards(LAYOUT, learned).evaluate(states, paid)
    assert told[name] is paid
    computed = RoundRewards(LAYOUT, rewards.walk(LAYOUT)).evaluate(states, paid)
    assert {round_: values.tobytes() for round_, values in told.items()} == {
        round_: values.tobytes() for round_, values in computed.items()
    }


def test_a_batch_is_judged_like_its_states_one_by_one_to_the_last_bit() -> None:
    rounds = RoundRewards(LAYOUT, rewards.walk(LAYOUT))
    states = np.stack([any_state(seed) for seed in range(50)])
    batch = rounds.evaluate(states, np.zeros(50))
    for row, state in enumerate(states):
        alone = rounds.evaluate(state, np.zeros(()))
        assert {name: float(values[row]) for name, values in batch.items()} == {
            name: float(value) for name, value in alone.items()
        }


@pytest.mark.parametrize(
    "settings",
    [
        {"reward": "walk"},
        {"reward": "walk", "shaping": {"forward_velocity": 0.5}, "frame_skip": (1, 5)},
        {"reward": "round1"},
        {"task": "prosthetics-round1"},
        {},
    ],
)
def test_every_decision_tells_what_both_rounds_pay_for_its_steps(settings: dict[str, Any]) -> None:
    env, decisions = played(max_steps=60, **settings)
    judges = {name: build(env.layout) for name, build in ROUNDS.items()}
    for _, info in decisions:
        states = np.stack([step.state for step in info["timesteps"]]).astype(np.float64)
        assert list(info["round_rewards"]) == ["round1", "round2"]
        for name, value in info["round_rewards"].items():
            again = sum(term.sum() for term in judges[name].evaluate(states).values())
            # The log's precision is float32.
            assert value == pytest.approx(again, rel=1e-6)


@pytest.mark.parametrize(("task", "learned"), [("prosthetics-round1", "round1"), ("prosthetics-round2", "round2")])
def test_the_round_that_is_learned_for_pays_the_very_reward(task: str, learned: str) -> None:
    for reward, info in played(max_steps=60, task=task)[1]:
        assert info["round_rewards"][learned] == reward


def test_shaping_is_no_part_of_what_a_round_pays() -> None:
    plain, shaped = (
        [info["round_rewards"] for _, info in played(max_steps=20, shaping=shaping)[1]]
        for shaping in ({}, {"forward_velocity": 2.0})
    )
    assert shaped == plain


def test_in_a_task_of_round_1_round_2_pays_by_round_1_s_target() -> None:
    _, decisions = played(task="prosthetics-round1", max_steps=4, frame_skip=1)
    for _, info in decisions:
        (step,) = info["timesteps"]
        assert np.array_equal(step.state[-3:], np.array(ROUND1_TARGET_M_PER_S, np.float32))
        effort = 0.001 * float(np.square((PUSH.astype(np.float64) + 1.0) / 2.0).sum())
        assert info["round_rewards"]["round2"] == pytest.approx(
            info["round_rewards"]["round1"] + 1.0 - effort, rel=1e-6
        )


def test_the_step_that_the_simulator_failed_in_pays_nothing() -> None:
    env, (_, (_, broken)) = played(fails_at=7, reward="walk", frame_skip=4)
    assert [step.step for step in broken["timesteps"]] == [5, 6]
    assert broken["ended"].startswith("simulator_error")
    speeds = np.array([step.state[env.layout.index["body_vel/pelvis/x"]] for step in broken["timesteps"]], np.float64)
    assert broken["round_rewards"]["round1"] == pytest.approx(float((9.0 - np.square(speeds - 3.0)).sum()), rel=1e-6)
