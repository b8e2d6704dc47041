"""What episodes earn by both rounds' true rewards, while something else is learned for: logged, checked, averaged."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.actor import EpisodePlan, play
from agents.analysis import impossible_values
from agents.build import contract_of, describe_run
from agents.config import RunConfig
from agents.exploration.none import NoExploration
from agents.policy import RandomPolicy
from agents.replay.columns import EpisodeTimesteps
from agents.replay.memory import MemoryReplay
from agents.replay.runs import ABORTED, Episode
from agents.round_returns import Means, earned, means_of, pooled, wrong_returns
from agents.telemetry import Telemetry, read_statuses
from agents.worker import Rollouts
from environment.prosthetics import ProstheticsEnv
from environment.state import StateLayout
from tests.curves import curves_in
from tests.fakes import FakePhysics
from tests.runs import RUN, fake_environment, open_run, small_config

Played = tuple[MemoryReplay, StateLayout, list[Episode]]


def played(reward: str, stop_after: int = 10_000, **settings: Any) -> Played:
    """Three episodes of the fake body by random actions, stopped after so many decisions."""
    config = RunConfig.of({"environment": {"max_steps": 60, "reward": reward, **settings}})
    environment = ProstheticsEnv(config.environment, FakePhysics())
    replay = MemoryReplay()
    run = replay.open_run(describe_run("r", config, environment))
    policy = RandomPolicy(contract_of(run, config), np.random.default_rng(0))
    writer, looks = replay.writer("r", "w"), itertools.count()
    plans = [EpisodePlan(seed, NoExploration(), "train") for seed in range(1, 4)]
    episodes = [play(environment, policy, writer, plan, "fake", lambda: next(looks) >= stop_after) for plan in plans]
    return replay, environment.layout, episodes


def judged(found: Played, number: int = 0, **changes: Any) -> list[tuple[str, float, str]]:
    """Of an episode with another document."""
    replay, layout, episodes = found
    episode = dataclasses.replace(episodes[number], **changes)
    return list(wrong_returns(layout, episode, replay.timesteps(episode).state))


@pytest.fixture(scope="module")
def walked() -> Played:
    return played("walk")


def test_an_episode_tells_what_both_rounds_pay_whatever_it_is_learned_for(walked: Played) -> None:
    replay, layout, episodes = walked
    vx, tx = layout.index["body_vel/pelvis/x"], layout.index["target_vel/x"]
    for episode in episodes:
        states = replay.timesteps(episode).state[1:].astype(np.float64)
        effort = 0.001 * np.square(states[:, layout.ending("muscles", "activation")]).sum()
        # The fake body does not move aside, and nobody asks it to before the target changes.
        by_hand = {
            "round1": (9.0 - np.square(states[:, vx] - 3.0)).sum(),
            "round2": (10.0 - np.square(states[:, vx] - states[:, tx]) - np.square(states[:, tx + 2])).sum() - effort,
        }
        assert episode.round_returns == pytest.approx(by_hand, rel=1e-6)
        assert abs(episode.episode_return) < 1.2 * episode.length + 1e-9, "of walk, at most 1.2 a step"


@pytest.mark.parametrize(("task", "learned"), [("prosthetics-round1", "round1"), ("prosthetics-round2", "round2")])
def test_the_round_that_is_learned_for_returns_what_the_episode_does(task: str, learned: str) -> None:
    for episode in played(learned, task=task)[2]:
        assert episode.round_returns[learned] == pytest.approx(episode.episode_return, rel=1e-12)


def test_an_aborted_episode_tells_none() -> None:
    last = played("walk", stop_after=3)[2][-1]
    assert (last.ended, last.round_returns) == (ABORTED, {})


def test_documents_agree_with_their_states_until_they_are_changed(walked: Played) -> None:
    replay, _, episodes = walked
    rounds = dict(episodes[0].round_returns)
    assert [judged(walked, number) for number in range(3)] == [[], [], []]
    ((name, value, problem),) = judged(walked, round_returns=rounds | {"round1": rounds["round1"] + 0.01})
    assert (name, problem) == ("round_returns/round1", f"the episode's document says {rounds['round1'] + 0.01:g}")
    assert value == pytest.approx(rounds["round1"], rel=1e-6)
    assert judged(walked, round_returns=rounds | {"round2": float("nan")}) != []
    assert judged(walked, round_returns={"round1": rounds["round1"]})[0][0] == "round_returns/round2"
    assert judged(walked, round_returns={}) == [], "a document of before they were logged"
    wrong = dataclasses.replace(episodes[0], round_returns=rounds | {"round2": 9_999.0})
    (finding,) = impossible_values(replay, replay.run("r"), [wrong, *episodes[1:]])
    assert (finding.episode, finding.step, finding.name) == (wrong.id, -1, "round_returns/round2")


def test_states_that_are_not_finite_are_not_judged_twice(walked: Played) -> None:
    replay, layout, (episode, *_) = walked
    stored = replay.timesteps(episode)
    copies = {one.name: np.array(getattr(stored, one.name)) for one in dataclasses.fields(stored)[1:]}
    spoiled = EpisodeTimesteps(stored.episode, **copies)
    spoiled.state[4, layout.where("target_vel")] = np.inf
    assert list(wrong_returns(layout, episode, spoiled.state)) == []


def test_fast_bodies_are_within_what_the_log_s_precision_loses(walked: Played) -> None:
    _, layout, (episode, *_) = walked
    generator = np.random.default_rng(0)
    states = generator.normal(0.0, 1.0, (1001, layout.size))
    states[:, layout.index["body_vel/pelvis/x"]] *= 40.0
    exact = {name: float(pay.sum()) for name, pay in earned(layout, states[1:]).items()}
    told = dataclasses.replace(episode, round_returns=exact)
    assert list(wrong_returns(layout, told, states.astype(np.float32))) == []


def test_means_tell_the_length_beside_the_returns(walked: Played) -> None:
    first, second, third = walked[2]
    found = means_of([first, second, dataclasses.replace(third, ended=ABORTED, round_returns={})])
    assert found is not None
    assert (found.episodes, found.length) == (2, (first.length + second.length) / 2)
    assert found.episode_return == pytest.approx((first.episode_return + second.episode_return) / 2)
    assert Means(63, 63.2, 41.4, {"round1": -133.4, "round2": 9739.0}).text() == (
        "63 per episode of 41 steps (round 1: -133, round 2: 9,739)"
    )
    older = means_of([first, dataclasses.replace(second, round_returns={})])
    assert older is not None
    assert older.text() == f"{older.episode_return:.0f} per episode of {older.length:.0f} steps"
    assert means_of([dataclasses.replace(third, ended=ABORTED)]) is None


def test_means_of_means_weigh_by_episodes(walked: Played) -> None:
    episodes = walked[2]
    apart = [means_of(episodes[:1]), means_of(episodes[1:])]
    together = means_of(episodes)
    assert together is not None
    found = pooled([one for one in apart if one is not None])
    assert found is not None
    assert found.document() == {
        "episodes": 3,
        "episode_return": pytest.approx(together.episode_return),
        "length": pytest.approx(together.length),
        "round_returns": pytest.approx(dict(together.round_returns)),
    }
    assert pooled([]) is None


def test_a_worker_tells_both_rounds_in_its_status_and_its_curves(tmp_path: Path) -> None:
    config, replay = small_config(), MemoryReplay()
    run = open_run(replay, config)
    telemetry = Telemetry(tmp_path, "w")
    work = Rollouts(run, config, replay, None, telemetry, fake_environment)
    work.work(0, 1, lambda: False, lambda: work.episodes >= 3)
    telemetry.close()
    episodes = replay.episodes_after(RUN, {})
    status = read_statuses(tmp_path)["w"]
    assert status["last_round_returns"] == episodes[-1].round_returns != {}
    assert status["recent"]["episodes"] == 3
    drawn = curves_in(tmp_path / "tensorboard" / "w")
    for name in ("round1", "round2"):
        values = [value for _, value in drawn[f"actor/{name}_return"]]
        assert values == pytest.approx([episode.round_returns[name] for episode in episodes], rel=1e-6)
    assert len(drawn["actor/length"]) == 3
