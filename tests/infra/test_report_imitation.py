"""The report of a run whose recipe is only valid with a motion."""

from __future__ import annotations

import json

from agents.config import RunConfig, load_config
from agents.recipes import recipe_file
from infra.report.origin import _recipe, _settings_of

MOTION = 'starts.motions=["/somewhere/walk.csv"]'


def imitating(*settings: str) -> RunConfig:
    return load_config(recipe_file("imitate"), [MOTION, *settings])


def test_the_recipe_and_its_motion_are_what_makes_the_run_again() -> None:
    config = imitating("rollout.bodies=4")
    for noted in (["imitate"], []):
        recipe, settings = _recipe(config, noted)
        assert recipe == "imitate"
        assert load_config(recipe_file("imitate"), settings) == config
        assert {setting.partition("=")[0] for setting in settings} == {
            "starts.motions",
            "environment.motion",
            "rollout.bodies",
        }


def test_a_run_without_a_motion_is_of_another_recipe() -> None:
    recipe, settings = _recipe(load_config(recipe_file("walk"), ["rollout.bodies=3"]), [])
    assert (recipe, list(settings)) == ("walk", [f"rollout.bodies={json.dumps(3)}"])
    assert _settings_of("imitate", RunConfig()) is None
