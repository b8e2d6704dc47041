"""The episodes that can be watched: one that a policy plays now, or one that is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.memory import layout_of
from agents.official.rules import check_fits, environment_of, on_native
from agents.official.sources import Source
from agents.replay.contract import Replay
from environment.config import EnvironmentConfig
from environment.physics.models import file_sha256, model_path
from environment.prosthetics import ProstheticsEnv
from environment.rendering.motion import Motion
from environment.rewards import TASK_REWARDS
from environment.state import StateLayout
from environment.tasks import Task, task
from environment.timestep import TimeStep

Float32 = NDArray[np.float32]
Stop = Callable[[], bool]

RANDOM = "random"
"""Instead of a policy: uniform actions, which depend on the seed alone."""


def played(source: Source, seed: int, stop: Stop) -> Motion:
    """A noise-free episode of the policy on the native engine, in the task that it was trained for.

    Raises: PolicyMismatch when it can not act on this body; SimulationError.
    """
    contract = source.policy.contract
    environment = ProstheticsEnv(on_native(environment_of(contract, contract.task)))
    try:
        check_fits(contract, environment)
        return _play(environment, source.policy, seed, source.name, stop)
    finally:
        environment.close()


def played_at_random(seed: int, stop: Stop) -> Motion:
    """A body under random actions, which falls."""
    environment = ProstheticsEnv(on_native(EnvironmentConfig()))
    generator, muscles = np.random.default_rng([seed, 2]), len(environment.physics.muscles)
    try:
        return _play(
            environment,
            lambda _: generator.uniform(-1.0, 1.0, muscles).astype(np.float32),
            seed,
            "random actions",
            stop,
        )
    finally:
        environment.close()


def stored(replay: Replay, id: int) -> Motion:
    """An episode of any run, with the reward that it was stored with and its task's own terms.

    Raises: KeyError when there is none of that id; LookupError when timesteps are missing; ValueError when its body's
        model is another one than this machine has.
    """
    episode = replay.episode(id)
    run = replay.run(episode.run)
    found = task(run.task)
    here = file_sha256(model_path(found.model))
    if here != run.model_sha256:
        raise ValueError(
            f"episode {id} is of a model file with the sum {run.model_sha256}, the one here has {here}; "
            "is another version of osim-rl installed?"
        )
    steps = replay.timesteps(episode)
    start = episode.start
    shown = "a motion" if start.purpose == "demonstrate" else "random actions"
    who = shown if start.policy_version == 0 else f"version {start.policy_version}"
    title = f"run {run.name}, episode {id}: {who}, {start.purpose}, seed {start.seed}"
    return _motion(title, found, layout_of(run), steps.state, steps.reward, episode.ended)


def _play(environment: ProstheticsEnv, act: Callable[[Float32], Float32], seed: int, who: str, stop: Stop) -> Motion:
    observation, info = environment.reset(seed=seed)
    steps: list[TimeStep] = list(info["timesteps"])
    while info["ended"] is None and not stop():
        observation, _, _, _, info = environment.step(act(observation))
        steps += info["timesteps"]
    states = np.stack([step.state for step in steps])
    reward = np.array([step.reward for step in steps])
    ended = info["ended"] or "stopped"
    return _motion(f"{who}, seed {seed}", environment.task, environment.layout, states, reward, ended)


def _motion(
    title: str, of: Task, layout: StateLayout, states: Float32, reward: NDArray[np.float64], ended: str
) -> Motion:
    terms: dict[str, Any] = TASK_REWARDS[of.reward](layout).evaluate(states.astype(np.float64))
    for values in terms.values():
        values[0] = 0.0  # nothing was done to arrive at a reset state
    return Motion(title=title, model=of.model, layout=layout, states=states, reward=reward, terms=terms, ended=ended)
