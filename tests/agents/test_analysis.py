"""What is read out of the log: hand-made episodes with known faults, and a whole one of the fake body."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from agents.actor import EpisodePlan, play
from agents.analysis import (
    Finding,
    Plausibility,
    endings,
    excitation_histogram,
    impossible_values,
    moving_mean,
    newest,
    returns_over_time,
    stream,
    watermarks,
)
from agents.build import contract_of, describe_run
from agents.config import RunConfig
from agents.exploration.none import NoExploration
from agents.policy import RandomPolicy
from agents.replay.columns import EpisodeTimesteps
from agents.replay.contract import EpisodeWriter
from agents.replay.ids import timestep_id
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Episode, EpisodeStart, Run
from environment.prosthetics import ProstheticsEnv
from environment.timestep import TimeStep
from tests.fakes import MUSCLES, FakePhysics

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def an_episode(number: int, length: int, value: float, *, minute: float = 0.0, **changes: Any) -> Episode:
    purpose = changes.pop("purpose", "train")
    version = changes.pop("version", 1)
    values: dict[str, Any] = {
        "id": number,
        "run": "r",
        "worker": "w",
        "writer": 1,
        "start": EpisodeStart(seed=number, policy_version=version, purpose=purpose),
        "length": length,
        "episode_return": value,
        "reward_terms": {"alive": value},
        "ended": "fall",
        "terminated": True,
        "truncated": False,
        "step_ms_mean": 2.0,
        "started": NOON,
        "finished": NOON + timedelta(minutes=minute),
    }
    return Episode(**(values | changes))


@pytest.fixture(scope="module")
def played() -> tuple[MemoryReplay, Run]:
    """Five whole episodes of the fake body by random actions."""
    config = RunConfig.of({"environment": {"max_steps": 30}, "replay": {"explore_timesteps": 10}})
    environment = ProstheticsEnv(config.environment, FakePhysics())
    replay = MemoryReplay()
    run = replay.open_run(describe_run("r", config, environment))
    policy = RandomPolicy(contract_of(run, config), np.random.default_rng(0))
    writer = replay.writer("r", "w")
    for seed in range(1, 6):
        play(environment, policy, writer, EpisodePlan(seed, NoExploration(), "explore"), "fake", lambda: False)
    return replay, run


def one(played: tuple[MemoryReplay, Run]) -> tuple[Plausibility, Episode, EpisodeTimesteps]:
    """A checker of the run, and its first episode with arrays that may be spoiled."""
    replay, run = played
    episode = replay.episodes_after("r", {})[0]
    stored = replay.timesteps(episode)
    copies = {field.name: np.array(getattr(stored, field.name)) for field in dataclasses.fields(stored)[1:]}
    return Plausibility(run), episode, EpisodeTimesteps(stored.episode, **copies)


def test_returns_come_in_the_order_of_finishing_with_timesteps_added_up() -> None:
    later = an_episode(1, 80, 500.0, minute=2, purpose="evaluate", version=7)
    sooner = an_episode(2, 30, 200.0, minute=1, purpose="explore", version=0)
    found = returns_over_time([later, sooner])
    assert found.value.tolist() == [200.0, 500.0]
    assert found.timesteps.tolist() == [30, 110]
    assert found.length.tolist() == [30, 80]
    assert found.policy_version.tolist() == [0, 7]
    assert found.purpose.tolist() == ["explore", "evaluate"]
    assert np.diff(found.finished).tolist() == [timedelta(minutes=1)]


def test_no_episodes_give_empty_columns() -> None:
    found = returns_over_time([])
    assert (len(found.value), len(found.finished), len(found.timesteps)) == (0, 0, 0)


def test_newest_keeps_the_limit_of_latest_in_order() -> None:
    episodes = [an_episode(n, 10, 0.0, minute=minute) for n, minute in enumerate((5, 1, 4, 2, 3))]
    assert [episode.id for episode in newest(iter(episodes), 3)] == [4, 2, 0]


def test_watermarks_are_the_last_episode_of_each_writer() -> None:
    episodes = [an_episode(5, 1, 0.0, writer=1), an_episode(9, 1, 0.0, writer=2), an_episode(3, 1, 0.0, writer=1)]
    assert watermarks(episodes) == {1: 5, 2: 9}


def test_watermarks_ask_the_log_for_nothing_twice(played: tuple[MemoryReplay, Run]) -> None:
    replay, _ = played
    assert replay.episodes_after("r", watermarks(replay.episodes_after("r", {}))) == []


def test_moving_mean_starts_with_what_there_is() -> None:
    assert moving_mean(np.array([1.0, 3.0, 5.0, 7.0]), 2).tolist() == [1.0, 2.0, 4.0, 6.0]
    assert moving_mean(np.array([]), 3).tolist() == []
    with pytest.raises(ValueError, match="window=0"):
        moving_mean(np.array([1.0]), 0)


def test_simulator_errors_are_one_reason_of_ending() -> None:
    reasons = ["fall", "simulator_error: step 3", "fall", "simulator_error: step 9", "abort: lean"]
    counted = endings(an_episode(n, 1, 0.0, ended=reason) for n, reason in enumerate(reasons))
    assert counted == {"fall": 2, "simulator_error": 2, "abort: lean": 1}


def test_excitations_are_counted_per_muscle_without_the_reset_state() -> None:
    excitation = np.array([[0.5, 0.5], [0.0, 1.0], [0.24, 1.0], [0.26, 0.75]], np.float32)
    none = np.zeros(4)
    steps = EpisodeTimesteps(1, none, excitation, none, none, none, none, none, none)  # type: ignore[arg-type]
    found = excitation_histogram(("a", "b"), [(an_episode(1, 3, 0.0), steps)], bins=4)
    assert found.counts.tolist() == [[2, 1, 0, 0], [0, 0, 0, 3]]
    assert found.edges.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    np.testing.assert_allclose(found.shares.sum(axis=1), 1.0)


def test_a_histogram_of_nothing_has_no_shares() -> None:
    assert excitation_histogram(("a",), [], bins=2).shares.tolist() == [[0.0, 0.0]]


def test_streaming_reads_a_few_timesteps_at_a_time(
    played: tuple[MemoryReplay, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    replay, _ = played
    episodes = replay.episodes_after("r", {})
    read: list[int] = []
    whole = replay.timesteps_of

    def counting(group: Any) -> Any:
        read.append(sum(episode.length + 1 for episode in group))
        return whole(group)

    monkeypatch.setattr(replay, "timesteps_of", counting)
    seen = [(episode.id, len(steps.reward)) for episode, steps in stream(replay, episodes, timesteps=62)]
    assert seen == [(episode.id, episode.length + 1) for episode in episodes]
    assert len(read) > 1
    assert max(read) <= 62


def test_episodes_as_they_are_written_hold_nothing_impossible(played: tuple[MemoryReplay, Run]) -> None:
    replay, run = played
    assert list(impossible_values(replay, run, replay.episodes_after("r", {}))) == []


@pytest.mark.parametrize(("task", "largest"), [("prosthetics-round1", 9.0), ("prosthetics-round2", 10.0)])
def test_the_largest_reward_is_that_of_the_task(task: str, largest: float) -> None:
    config = RunConfig.of({"environment": {"task": task}})
    run = describe_run("r", config, ProstheticsEnv(config.environment, FakePhysics()))
    assert Plausibility(run).largest_reward == largest


@pytest.mark.parametrize("other", [{"reward": "round1"}, {"shaping": {"forward_velocity": 5.0}}])
def test_evaluations_earn_the_task_s_own_reward_whatever_is_learned_for(other: dict[str, Any]) -> None:
    config = RunConfig.of({"environment": {"max_steps": 10} | other})
    replay = MemoryReplay()
    run = replay.open_run(describe_run("r", config, ProstheticsEnv(config.environment, FakePhysics())))
    policy = RandomPolicy(contract_of(run, config), np.random.default_rng(1))
    writer = replay.writer("r", "w")
    plans = EpisodePlan(3, NoExploration()), EpisodePlan(3, NoExploration(), "evaluate")
    for plan, settings in zip(plans, (config.environment, config.environment.scored()), strict=True):
        play(ProstheticsEnv(settings, FakePhysics()), policy, writer, plan, "fake", lambda: False)
    trained, scored = replay.episodes_after("r", {})
    assert list(impossible_values(replay, run, [trained, scored])) == []
    assert list(scored.reward_terms) == ["alive", "velocity_forward", "velocity_lateral", "effort"]
    mistaken = dataclasses.replace(scored, start=dataclasses.replace(scored.start, purpose="train"))
    assert {finding.problem for finding in impossible_values(replay, run, [mistaken])} >= {"not what its state earns"}


def test_shaped_rewards_have_no_bound_but_must_fit_their_states() -> None:
    config = RunConfig.of({"environment": {"max_steps": 10, "shaping": {"forward_velocity": 5.0}}})
    environment = ProstheticsEnv(config.environment, FakePhysics())
    replay = MemoryReplay()
    run = replay.open_run(describe_run("r", config, environment))
    policy = RandomPolicy(contract_of(run, config), np.random.default_rng(1))
    play(environment, policy, replay.writer("r", "w"), EpisodePlan(3, NoExploration()), "fake", lambda: False)
    assert Plausibility(run).largest_reward is None
    assert list(impossible_values(replay, run, replay.episodes_after("r", {}))) == []


def spoil(steps: EpisodeTimesteps, what: str) -> None:
    layout = FakePhysics().layout.with_target()
    state = steps.state
    match what:
        case "state":
            state[3, layout.index["body_vel/head/y"]] = np.nan
        case "excitation":
            steps.excitation[4, 1] = -1.0
        case "activation":
            state[5, layout.index["muscles/push_b/activation"]] = 1.5
        case "height":
            state[6, layout.index["body_pos/pelvis/y"]] = 9.0
        case "infinite reward":
            steps.reward[7] = np.inf
        case "large reward":
            steps.reward[7] = 11.0
        case "other reward":
            steps.reward[7] -= 1.0
        case "version":
            steps.policy_version[:2] = 4
        case "end":
            steps.terminated[8] = True
        case "no end":
            steps.truncated[-1] = steps.terminated[-1] = False
        case "reset":
            steps.excitation[0, 0] = 0.5


@pytest.mark.parametrize(
    ("what", "step", "name", "value", "problem"),
    [
        ("state", 3, "body_vel/head/y", np.nan, "not finite"),
        ("excitation", 4, f"excitation/{MUSCLES[1]}", -1.0, "outside 0..1"),
        ("activation", 5, "muscles/push_b/activation", 1.5, "outside 0..1"),
        ("height", 6, "body_pos/pelvis/y", 9.0, "outside 0.4..1.6 m"),
        ("infinite reward", 7, "reward", np.inf, "not finite"),
        ("large reward", 7, "reward", 11.0, "above the task's maximum"),
        ("other reward", 7, "reward", None, "not what its state earns"),
        ("version", 2, "policy_version", 0.0, "older than the step before"),
        ("end", 8, "terminated", 1.0, "the episode goes on after its end"),
        ("no end", None, "terminated", 0.0, "the last step is not one of terminated and truncated"),
        ("reset", 0, "excitation", 0.5, "the reset state has an action or a reward"),
    ],
)
def test_an_impossible_value_is_found_with_its_place(
    played: tuple[MemoryReplay, Run], what: str, step: int | None, name: str, value: float | None, problem: str
) -> None:
    plausible, episode, steps = one(played)
    spoil(steps, what)
    expected_step = episode.length if step is None else step
    found = [finding for finding in plausible.findings(episode, steps) if finding.problem == problem]
    assert [(f.episode, f.step, f.name) for f in found] == [(episode.id, expected_step, name)]
    if value is not None:
        np.testing.assert_equal(found[0].value, value)


def test_a_return_that_its_rewards_do_not_make_is_found(played: tuple[MemoryReplay, Run]) -> None:
    plausible, episode, steps = one(played)
    wrong = dataclasses.replace(episode, episode_return=episode.episode_return + 5.0)
    (found,) = plausible.findings(wrong, steps)
    assert (found.step, found.name) == (-1, "return")
    assert found.value == pytest.approx(episode.episode_return)


def test_an_episode_that_finished_before_it_started_is_found(played: tuple[MemoryReplay, Run]) -> None:
    plausible, episode, steps = one(played)
    wrong = dataclasses.replace(episode, finished=episode.started - timedelta(seconds=1))
    assert [finding.name for finding in plausible.findings(wrong, steps)] == ["finished"]


def test_a_gap_is_a_finding_and_the_other_episodes_are_still_checked(played: tuple[MemoryReplay, Run]) -> None:
    source, run = played
    replay = MemoryReplay()
    replay.open_run(run)
    writer = replay.writer("r", "w")
    for episode, steps in stream(source, source.episodes_after("r", {})[:3]):
        copy_episode(writer, episode, steps, spoiled=episode.id == source.episodes_after("r", {})[2].id)
    episodes = replay.episodes_after("r", {})
    replay.delete_timesteps([timestep_id(episodes[1].id, 2)])
    found = list(impossible_values(replay, run, episodes))
    assert [(f.episode, f.step, f.name) for f in found] == [
        (episodes[1].id, -1, "timesteps"),
        (episodes[2].id, 1, "reward"),
    ]
    assert "missing steps 2" in found[0].problem
    assert isinstance(found[0], Finding)


def copy_episode(writer: EpisodeWriter, episode: Episode, steps: EpisodeTimesteps, *, spoiled: bool) -> None:
    """Writes an episode again; spoiled, its first reward is not what the state earns."""
    rewards = steps.reward.copy()
    rewards[1] -= 2.0 * spoiled
    rows = [
        TimeStep(
            step=i,
            state=steps.state[i],
            excitation=steps.excitation[i],
            policy_action=steps.policy_action[i],
            decision=bool(steps.decision[i]),
            reward=float(rewards[i]),
            terminated=bool(steps.terminated[i]),
            truncated=bool(steps.truncated[i]),
        )
        for i in range(len(rewards))
    ]
    writer.begin(episode.start, rows[0])
    for row in rows[1:]:
        writer.add(row)
    writer.end(ended=episode.ended, reward_terms={"all": float(rewards.sum())}, step_ms_mean=1.0)
