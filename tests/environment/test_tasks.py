"""The challenges by name, and the bodies they are walked with."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from environment import targets
from environment.observations import OBSERVATIONS
from environment.physics.models import MODELS, model_path
from environment.rewards import TASK_REWARDS
from environment.shaping import ABORT_RULES, SHAPED_TERMS
from environment.tasks import TASKS, task

MUSCLES = {"3D_pros": 19, "2D_pros": 19, "3D": 22, "2D": 22}


def test_there_are_four_bodies_in_two_rounds() -> None:
    bodies = ("prosthetics", "intact", "prosthetics-planar", "intact-planar")
    assert set(TASKS) == {f"{body}-round{number}" for body in bodies for number in (1, 2)}
    assert all(task(name).name == name for name in TASKS)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_task_names_a_model_and_a_reward_that_exist(name: str) -> None:
    assert task(name).model in MODELS
    assert task(name).reward in TASK_REWARDS


@pytest.mark.parametrize(
    ("body", "model"),
    [("prosthetics", "3D_pros"), ("intact", "3D"), ("prosthetics-planar", "2D_pros"), ("intact-planar", "2D")],
)
def test_rounds_have_osim_rl_s_limits_rewards_and_targets(body: str, model: str) -> None:
    first, second = task(f"{body}-round1"), task(f"{body}-round2")
    assert (first.model, first.reward, first.schedule, first.time_limit_steps) == (model, "round1", targets.fixed, 300)
    assert (second.model, second.reward, second.schedule, second.time_limit_steps) == (
        model,
        "round2",
        targets.poisson_changes,
        1000,
    )


def test_an_unknown_task_is_answered_with_those_that_exist() -> None:
    with pytest.raises(KeyError, match="no task 'marathon'; there are prosthetics-round1, prosthetics-round2, intact"):
        task("marathon")


def test_an_unknown_model_is_answered_with_those_that_exist() -> None:
    with pytest.raises(KeyError, match="no model '4D'; there are 3D_pros, 3D, 2D_pros, 2D"):
        model_path("4D")


def test_finding_a_model_does_not_import_osim_rl() -> None:
    before = set(sys.modules)
    path = model_path("3D_pros")
    assert path.suffix == ".osim"
    assert not [name for name in set(sys.modules) - before if name.split(".")[0] in ("osim", "gym", "opensim")]


def test_missing_model_files_are_answered_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="osim-rl, which is not installed"):
        model_path("3D")


@pytest.mark.opensim
@pytest.mark.parametrize("model", sorted(MODELS))
def test_a_body_loads_with_its_muscles_and_everything_can_be_computed_of_it(model: str) -> None:
    from environment.physics.opensim import OpenSimPhysics

    physics = OpenSimPhysics(model_path(model))
    layout = physics.layout.with_target()
    assert len(physics.muscles) == MUSCLES[model]
    state = np.concatenate((physics.reset(), [1.25, 0.0, 0.0]))
    for build in OBSERVATIONS.values():
        observe = build(layout)
        window = np.stack([state] * (observe.history + 1)).astype(np.float32)
        assert np.isfinite(observe(window, np.zeros(()))).all()
        assert len(set(observe.names)) == len(observe.names)
    for reward in TASK_REWARDS.values():
        assert np.isfinite(sum(reward(layout).evaluate(state).values()))
    for term in SHAPED_TERMS.values():
        assert np.isfinite(term(layout)(state))
    # The start pose is one that no early-abort rule gives up.
    assert not [name for name, rule in ABORT_RULES.items() if rule(layout)(state)]
