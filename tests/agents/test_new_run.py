"""What a new run is asked to be, and one that learns from what another run stored."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from agents.actor import EpisodePlan, play
from agents.build import contract_of
from agents.config import RunConfig
from agents.exploration.none import NoExploration
from agents.new_run import NewRun, add_options
from agents.plain import ConfigError
from agents.policy import RandomPolicy
from agents.replay.memory import MemoryReplay
from tests.agents.test_memory_building import GENERATOR, collected, with_environment, with_replay
from tests.runs import fake_environment, open_run, small_config


def asked(*arguments: str) -> NewRun:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return NewRun.asked(parser.parse_args(arguments))


@pytest.fixture
def replay() -> MemoryReplay:
    return MemoryReplay()


@pytest.fixture
def old(replay: MemoryReplay) -> RunConfig:
    """The configuration of the stored run `old`."""
    config = with_environment(small_config("prosthetics-round2"), bins=2, shaping={"lean": 0.5})
    collected(replay, "old", config, 100)
    return config


def test_a_run_from_a_stored_one_has_its_configuration_and_learns_from_it_at_once(
    replay: MemoryReplay, old: RunConfig
) -> None:
    found = asked("--from", "old").configuration("new", replay)
    assert found == with_replay(old, partitions={"old": 0.5}, explore_timesteps=0)


def test_what_is_asked_for_lies_over_the_stored_configuration(
    replay: MemoryReplay, old: RunConfig, tmp_path: Path
) -> None:
    path = tmp_path / "run.toml"
    path.write_text("[learner]\nbatch_size = 64\n[replay]\nexplore_timesteps = 7\n")
    wishes = ("--observation", "original", "--reward", "round1", "--hindsight", "0.25", "--share", "0.75")
    found = asked("--from", "old", *wishes, "--config", str(path), "--set", "learner.batch_size=16").configuration(
        "new", replay
    )
    environment = with_environment(old, observation="original", reward="round1").environment
    assert found.environment == environment
    assert (found.replay.partitions, found.replay.hindsight_share) == ({"old": 0.75}, 0.25)
    assert (found.learner.batch_size, found.replay.explore_timesteps) == (16, 7)


def test_what_the_stored_run_learned_from_keeps_its_proportions_in_the_rest(
    replay: MemoryReplay, old: RunConfig
) -> None:
    collected(replay, "later", with_replay(old, partitions={"old": 0.5}, hindsight_share=0.25), 100)
    found = asked("--from", "later", "--share", "0.5").configuration("new", replay)
    assert found.replay.partitions == {"old": 0.25, "later": 0.5}
    assert found.replay.hindsight_share == 0.125
    whole = asked("--from", "later", "--share", "1").configuration("new", replay)
    assert (whole.replay.partitions, whole.replay.hindsight_share) == ({"later": 1.0}, 0.0)


def test_a_run_made_from_a_stored_one_is_gone_on_with(replay: MemoryReplay, old: RunConfig) -> None:
    made = asked("--from", "old", "--reward", "round1").configuration("new", replay)
    open_run(replay, made, "new")
    for again in ((), ("--from", "old"), ("--from", "old", "--share", "0.5", "--reward", "round1")):
        assert asked(*again).configuration("new", replay) == made
    open_run(replay, old, "other")
    for refused, words in (
        (("--from", "other"), "--from other does not agree with replay.partitions = {'old': 0.5}; a run keeps its"),
        (("--from", "old", "--share", "0.25"), "--from old --share 0.25 does not agree .* choose another name"),
        (("--from", "old", "--reward", "round2"), "environment.reward = 'round1', asked for is 'round2'"),
    ):
        with pytest.raises(ConfigError, match=words):
            asked(*refused).configuration("new", replay)


def test_a_stored_run_that_is_not_there_or_has_nothing_to_learn_from_is_refused(
    replay: MemoryReplay, old: RunConfig
) -> None:
    with pytest.raises(KeyError, match="no run 'odl'; there are: old"):
        asked("--from", "odl").configuration("new", replay)
    run = open_run(replay, old, "scored")
    policy, plan = RandomPolicy(contract_of(run, old), GENERATOR(0)), EpisodePlan(1, NoExploration(), "evaluate")
    play(fake_environment(old.environment), policy, replay.writer("scored", "e"), plan, "fake", lambda: False)
    with pytest.raises(ConfigError, match="run 'scored' holds no timestep to learn from, evaluations aside"):
        asked("--from", "scored").configuration("new", replay)


@pytest.mark.parametrize(
    "setting", ['replay.partitions={"else": 0.5}', "replay.partitions.old=0.4", "replay.partitions={}"]
)
def test_partitions_that_contradict_the_options_are_refused(replay: MemoryReplay, old: RunConfig, setting: str) -> None:
    with pytest.raises(ConfigError, match=r"--from old --share 0\.5 does not agree .* leave one out"):
        asked("--from", "old", "--share", "0.5", "--set", setting).configuration("new", replay)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--share", "0.5"), "--share 0.5 is of a stored run; name it with --from"),
        (("--from", "old", "--share", "0"), "--share 0 must be above 0 and at most 1"),
        (("--from", "old", "--share", "1.5"), "--share 1.5 must be above 0 and at most 1"),
        (("--from", "a b"), "run name 'a b' must be"),
        (
            ("--reward", "round1", "--set", "environment.reward=round2"),
            "--reward round1 is short for --set environment.reward=round1; leave out --set environment.reward=round2",
        ),
        (("--task", "intact-round1", "--set", 'environment={"max_steps": 9}'), "short for .* leave out --set env"),
        (("--hindsight", "0.1", "--set", "replay.hindsight_share = 0.2"), "--hindsight 0.1 is short for"),
    ],
)
def test_two_answers_to_one_question_are_refused(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        asked(*arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--reward", "round3"), "reward 'round3' is unknown; there are round1, round2"),
        (("--observation", "blind"), "observation 'blind' is unknown; there are original, compact"),
    ],
)
def test_an_unknown_name_lists_those_that_exist(
    replay: MemoryReplay, old: RunConfig, arguments: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        asked(*arguments).check()
    with pytest.raises(ConfigError, match=words):
        asked("--from", "old", *arguments).configuration("new", replay)


def test_options_alone_are_short_for_settings(replay: MemoryReplay) -> None:
    short: dict[str, Any] = {
        "environment": {"task": "intact-round1", "physics": "opensim", "observation": "original", "reward": "round2"},
        "replay": {"hindsight_share": 0.25},
    }
    named = [part for name, value in short["environment"].items() for part in (f"--{name}", value)]
    assert asked(*named, "--hindsight", "0.25").configuration("new", replay) == RunConfig.of(short)


def test_what_was_asked_goes_on_to_another_command_line() -> None:
    everything = ("--config", "run.toml", "--set", "learner.batch_size=16", "--from", "old", "--share", "0.3")
    wishes = asked(*everything, "--reward", "round1", "--hindsight", "0.1")
    assert asked(*wishes.arguments()) == wishes
    assert asked().arguments() == []
