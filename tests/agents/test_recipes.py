"""Recipes are configuration files by name."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from agents.config import load_config
from agents.new_run import NewRun, add_options
from agents.plain import ConfigError
from agents.recipes import recipe_file, recipe_names
from environment.rewards import TASK_REWARDS


def asked(*arguments: str) -> NewRun:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return NewRun.asked(parser.parse_args(arguments))


MOTION = ('starts.motions=["walk.csv"]',)
NEED_A_MOTION = ("imitate",)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_valid_configuration(name: str) -> None:
    config = load_config(recipe_file(name), MOTION if name in NEED_A_MOTION else ())

    assert config.plain() != load_config().plain()
    assert config.environment.reward_name in TASK_REWARDS


def test_the_atoms_of_the_walk_recipe_hold_the_best_and_the_worst_return() -> None:
    config = load_config(recipe_file("walk"))
    best_of_a_step = 1.2 * config.learner.reward_scale
    settings = config.algorithm.settings

    assert settings["v_min"] == 0.0
    assert 0.8 * settings["v_max"] < best_of_a_step / (1 - config.replay.gamma) < settings["v_max"]


def test_the_imitate_recipe_needs_a_motion_and_says_how_to_name_it() -> None:
    with pytest.raises(ConfigError, match=r"--motion FILE"):
        load_config(recipe_file("imitate"))


def test_the_motion_of_the_imitate_recipe_is_started_from_and_imitated_but_never_in_a_score() -> None:
    new = asked("--recipe", "imitate", "--motion", "walk.csv")
    config = load_config(new.config, new.settings)
    environment, scored = config.environment, config.environment.scored()

    assert environment.motion == config.starts.motions[0] == str(Path("walk.csv").absolute())
    assert (environment.imitation, environment.aborts, config.starts.motion_share) == (0.7, ("imitation",), 0.7)
    assert (scored.motion, scored.imitation, scored.aborts, scored.reward) == (environment.motion, 0.0, (), None)


def test_the_atoms_of_the_imitate_recipe_hold_the_best_and_the_worst_return() -> None:
    config = load_config(recipe_file("imitate"), MOTION)
    share = config.environment.imitation
    best_of_a_step = (share + 1.2 * (1 - share)) * config.learner.reward_scale
    settings = config.algorithm.settings

    assert settings["v_min"] == 0.0
    assert 0.8 * settings["v_max"] < best_of_a_step / (1 - config.replay.gamma) < settings["v_max"]


def test_an_option_of_the_command_line_stands_above_the_recipe() -> None:
    new = asked("--recipe", "walk", "--set", "rollout.bodies=4")

    assert new.config == recipe_file("walk")
    assert load_config(new.config, new.settings).rollout.bodies == 4


def test_an_unknown_recipe_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"no recipe 'fly'; there are .*walk"):
        asked("--recipe", "fly")


def test_a_recipe_and_a_configuration_file_are_two_answers() -> None:
    with pytest.raises(ConfigError, match=r"leave out --config other\.toml"):
        asked("--recipe", "walk", "--config", str(Path("other.toml")))
