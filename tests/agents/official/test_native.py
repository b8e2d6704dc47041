"""The fast scorer: what it says of an episode is what the environment alone gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from agents.official.native import play_natively, score_natively
from agents.official.rules import ACCURATE, Act, environment_of, on_native, uniform
from agents.official.seeds import HELD_OUT_SEEDS, SELECTION_SEEDS, for_selection, held_out
from agents.policy import Policy, PolicyMismatch
from environment.physics.native.settings import NativeSettings
from environment.prosthetics import ProstheticsEnv
from tests.bodied import body_contract, body_layout, body_policy

SEEDS = (1001, 1002, 11)


def alone(policy: Policy, seed: int, task: str, max_steps: int) -> tuple[float, np.ndarray, str]:
    """Return, states (T+1, S) and ending of one episode in the single environment."""
    environment = ProstheticsEnv(on_native(environment_of(policy.contract, task, max_steps)))
    observation, info = environment.reset(seed=seed)
    states, total = [environment.state], 0.0
    while info["ended"] is None:
        observation, reward, _, _, info = environment.step(policy(observation))
        states += [timestep.state for timestep in info["timesteps"]]
        total += reward
    environment.close()
    return total, np.stack(states), info["ended"]


@pytest.mark.parametrize("task", [pytest.param("prosthetics-round1", marks=pytest.mark.slow), "prosthetics-round2"])
def test_a_score_is_that_of_the_same_episodes_alone(task: str) -> None:
    policy = body_policy(2)
    scores = score_natively(policy, SEEDS, task, max_steps=120)
    assert [score.seed for score in scores] == list(SEEDS)
    for score in scores:
        episode_return, states, ended = alone(policy, score.seed, task, 120)
        assert score.episode_return == pytest.approx(episode_return, rel=1e-4)
        assert (score.length, score.ended) == (len(states) - 1, ended)
        moved = (states[-1] - states[0])[body_layout().where("body_pos/pelvis")]
        assert score.distance_m == pytest.approx(np.hypot(moved[0], moved[2]), abs=1e-4)
        assert score.speed_m_per_s == pytest.approx(score.distance_m / (0.01 * score.length))
        off = (states[1:, body_layout().where("body_vel/pelvis")] - states[1:, body_layout().where("target_vel")])[
            :, [0, 2]
        ]
        assert score.speed_error_m_per_s == pytest.approx(np.sqrt(np.square(off).sum(axis=1).mean()), rel=1e-3)
        assert (score.task, score.physics) == (task, ACCURATE.name)


def test_more_seeds_than_lanes_are_scored_in_groups_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = body_policy(1)
    seeds = held_out(5)
    together = score_natively(policy, seeds, max_steps=40)
    monkeypatch.setattr("agents.official.native.LANES", 2)
    apart = score_natively(policy, seeds, max_steps=40)
    assert [score.seed for score in apart] == list(seeds)
    assert [score.episode_return for score in apart] == pytest.approx([score.episode_return for score in together])


def test_an_episode_that_falls_early_ends_there_while_others_go_on() -> None:
    config = on_native(environment_of(body_contract(), "prosthetics-round2", 200))

    def begin(seeds: Sequence[int]) -> Act:
        pushes = np.where(np.arange(len(seeds)) == 0, -1.0, 1.0).astype(np.float32)
        return lambda _: np.repeat(pushes[:, None], 19, axis=1)

    limp, stiff = play_natively(config, begin, (5, 6))
    assert limp.score.fell
    assert stiff.score.fell
    assert limp.score.length != stiff.score.length
    for played in (limp, stiff):
        assert len(played.states) == played.score.length + 1
        height = played.states[:, body_layout().index["body_pos/pelvis/y"]]
        assert height[-1] < 0.6 <= height[:-1].min()


def test_random_actions_depend_on_the_seed_alone() -> None:
    config = on_native(environment_of(body_contract(), "prosthetics-round2", 40))
    single = [next(play_natively(config, uniform(19), [seed])).score.episode_return for seed in (7, 8)]
    together = [played.score.episode_return for played in play_natively(config, uniform(19), (8, 7))]
    assert together == single[::-1]
    assert together[0] != together[1]


def test_a_looser_integrator_is_another_physics_and_gives_another_score() -> None:
    policy = body_policy(2)
    (loose,) = score_natively(policy, [11], settings=NativeSettings("BogackiShampine32", 1e-3), max_steps=80)
    (tight,) = score_natively(policy, [11], max_steps=80)
    assert loose.physics == "native/BogackiShampine32/0.001"
    assert loose.episode_return != tight.episode_return


def test_a_scorer_that_is_stopped_gives_only_what_was_finished() -> None:
    assert score_natively(body_policy(), SEEDS, max_steps=40, stop=lambda: True) == []


def test_a_policy_of_another_body_is_refused_and_of_the_other_round_is_not() -> None:
    policy = body_policy()
    assert len(score_natively(policy, [11], "prosthetics-round1", max_steps=4)) == 1
    other = dataclasses.replace(policy.contract, layout_sha256="0" * 64)
    policy.contract = other
    with pytest.raises(PolicyMismatch, match="layout_sha256"):
        score_natively(policy, [11], max_steps=4)


def test_held_out_seeds_are_not_those_that_checkpoints_are_chosen_by() -> None:
    assert not set(HELD_OUT_SEEDS) & set(SELECTION_SEEDS)
    assert held_out(50) == tuple(range(1001, 1051))
    assert for_selection(50) == tuple(range(2001, 2051))
    with pytest.raises(ValueError, match="1 to 1000 held-out seeds"):
        held_out(0)
    with pytest.raises(ValueError, match="1 to 1000 selection seeds"):
        for_selection(1001)
