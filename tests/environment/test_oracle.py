"""Our environment against osim-rl 2.1.5's own, step by step."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from environment.config import EnvironmentConfig
from environment.prosthetics import ProstheticsEnv
from environment.targets import poisson_changes

pytestmark = pytest.mark.opensim

MODELS = {"prosthetics": "3D_pros", "intact": "3D", "prosthetics-planar": "2D_pros", "intact-planar": "2D"}


def assert_same_dictionary(ours: Any, theirs: Any, path: str = "") -> int:
    """Every entry of osim-rl's dictionary is in ours, equal to 1e-9; returns how many numbers were compared."""
    if isinstance(theirs, dict):
        assert set(theirs) == set(ours), path
        return sum(assert_same_dictionary(ours[key], value, f"{path}/{key}") for key, value in theirs.items())
    if isinstance(theirs, list):
        assert len(ours) == len(theirs), path
        return sum(
            assert_same_dictionary(o, t, f"{path}/{i}") for i, (o, t) in enumerate(zip(ours, theirs, strict=True))
        )
    assert math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9), f"{path}: ours {ours!r}, osim-rl {theirs!r}"
    return 1


def compare_episode(
    body: str,
    difficulty: int,
    *,
    seed: int,
    integrator: str,
    accuracy: float,
    limit: int | None = None,
    mean_steps_between_changes: float = 300,
) -> tuple[int, int, str]:
    """Plays the same random binary actions in both; returns control steps, numbers compared per step, our ending."""
    from infra.bench.osim_rl_peer import osim_rl_environment

    theirs = osim_rl_environment(difficulty=difficulty, integrator=integrator, accuracy=accuracy, model=MODELS[body])
    if limit is not None:
        theirs.spec.timestep_limit = limit
    ours = ProstheticsEnv(
        EnvironmentConfig(
            task=f"{body}-round{difficulty + 1}",
            physics="opensim",
            integrator=integrator,
            accuracy=accuracy,
            stale_controls=True,
            frame_skip=1,
            max_steps=limit,
        )
    )
    if mean_steps_between_changes != 300:
        # osim-rl's own argument, which its reset leaves at 300.
        draw = theirs.generate_new_targets
        theirs.generate_new_targets = lambda: draw(poisson_lambda=mean_steps_between_changes)
        schedule = partial(poisson_changes, mean_steps_between_changes=mean_steps_between_changes)
        ours.task = replace(ours.task, schedule=schedule)
    _, info = ours.reset(seed=seed)
    description = theirs.reset(project=False, seed=seed)
    compared = assert_same_dictionary(without_round1_target(ours, difficulty), description)
    generator = np.random.default_rng(seed)
    steps = 0
    targets_met = {tuple(ours.state[-3:])}
    action = np.zeros(ours.action_space.shape or (), np.float32)
    while info["ended"] is None:
        if steps % 4 == 0:
            action = np.where(generator.random(ours.action_space.shape) < 0.5, -1.0, 1.0).astype(np.float32)
        _, reward, terminated, truncated, info = ours.step(action)
        description, expected, done, _ = theirs.step((action + 1) / 2, project=False)
        steps += 1
        targets_met.add(tuple(ours.state[-3:]))
        assert_same_dictionary(without_round1_target(ours, difficulty), description)
        assert math.isclose(reward, expected, rel_tol=1e-9, abs_tol=1e-9)
        assert (terminated or truncated) == done
    assert mean_steps_between_changes == 300 or len(targets_met) > 4
    return steps, compared, info["ended"]


def without_round1_target(env: ProstheticsEnv, difficulty: int) -> dict[str, Any]:
    state = env.state_dict()
    if difficulty == 0:
        assert state.pop("target_vel") == [3.0, 0.0, 0.0]  # osim-rl does not show round 1's target
    return state


@pytest.mark.parametrize("difficulty", [0, 1])
def test_whole_episode_equals_osim_rl_at_its_own_integrator(difficulty: int) -> None:
    steps, compared, ended = compare_episode(
        "prosthetics", difficulty, seed=7, integrator="RungeKuttaMerson", accuracy=5e-5
    )
    assert ended == "fall"
    assert steps > 50
    assert compared == 412 + 3 * difficulty


@pytest.mark.slow
@pytest.mark.parametrize("difficulty", [0, 1])
def test_whole_episode_equals_osim_rl_at_the_fast_integrator(difficulty: int) -> None:
    steps, _, ended = compare_episode(
        "prosthetics", difficulty, seed=21, integrator="SemiExplicitEuler2", accuracy=1e-3
    )
    assert ended == "fall"
    assert steps > 50


def test_whole_episode_with_many_changes_of_target_equals_osim_rl() -> None:
    steps, _, ended = compare_episode(
        "prosthetics", 1, seed=7, integrator="SemiExplicitEuler2", accuracy=1e-3, mean_steps_between_changes=12
    )
    assert ended == "fall"
    assert steps > 50


@pytest.mark.parametrize("difficulty", [0, 1])
@pytest.mark.parametrize("body", ["intact", "prosthetics-planar", "intact-planar"])
def test_other_bodies_equal_osim_rl(body: str, difficulty: int) -> None:
    steps, _, ended = compare_episode(
        body, difficulty, seed=3, integrator="SemiExplicitEuler2", accuracy=1e-3, limit=40
    )
    assert (steps, ended) == (40, "time_limit")


def test_targets_equal_osim_rl_for_many_seeds() -> None:
    from infra.bench.osim_rl_peer import osim_rl

    class TargetsOnly(osim_rl.ProstheticsEnv):  # type: ignore[misc]
        def __init__(self) -> None:
            self.time_limit = 1000

    theirs = TargetsOnly()
    changes = 0
    for seed in (1, 2, 11, 22, 33, 44, 55, 66, 12345, 2**32 - 1):
        osim_rl.random.seed(seed)
        osim_rl.np.random.seed(seed)
        theirs.generate_new_targets()
        ours = poisson_changes(seed, 1000)
        np.testing.assert_allclose(ours, theirs.targets, rtol=0, atol=1e-12)
        changes += int((np.diff(ours, axis=0) != 0).any(axis=1).sum())
    assert changes > 10


@pytest.mark.parametrize("body", list(MODELS))
def test_the_native_engine_with_stale_controls_follows_osim_rl(body: str) -> None:
    from infra.bench.osim_rl_peer import osim_rl_environment

    theirs = osim_rl_environment(difficulty=1, model=MODELS[body])
    ours = ProstheticsEnv(
        EnvironmentConfig(
            task=f"{body}-round2",
            physics="native",
            integrator="RungeKuttaMerson",
            accuracy=5e-5,
            stale_controls=True,
            frame_skip=1,
        )
    )
    ours.reset(seed=7)
    theirs.reset(project=False, seed=7)
    generator = np.random.default_rng(7)
    center = ours.layout.where("misc/mass_center_pos")
    action = np.zeros(ours.action_space.shape or (), np.float32)
    for step in range(20):
        if step % 4 == 0:
            action = np.where(generator.random(ours.action_space.shape) < 0.5, -1.0, 1.0).astype(np.float32)
        _, reward, terminated, truncated, _ = ours.step(action)
        description, expected, done, _ = theirs.step((action + 1) / 2, project=False)
        # Equal equations, equal step sizes: only the start's fibres differ, by OpenSim's tolerance for their balance.
        np.testing.assert_allclose(ours.state[center], description["misc"]["mass_center_pos"], rtol=0, atol=2e-6)
        assert math.isclose(reward, expected, abs_tol=2e-5)
        assert (terminated or truncated) == done
