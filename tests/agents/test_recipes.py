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


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_valid_configuration(name: str) -> None:
    config = load_config(recipe_file(name))

    assert config.plain() != load_config().plain()
    assert config.environment.reward_name in TASK_REWARDS


def test_the_atoms_of_the_walk_recipe_hold_the_best_and_the_worst_return() -> None:
    config = load_config(recipe_file("walk"))
    best_of_a_step = 1.2 * config.learner.reward_scale
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
