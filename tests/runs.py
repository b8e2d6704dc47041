"""What the tests of whole processes share: a small run of the fake body, its episodes, and its checkpoints."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from agents.actor import EpisodePlan, act
from agents.build import build_learner, contract_of, describe_run
from agents.config import RunConfig
from agents.exploration.uniform import UniformActions
from agents.learner import Learner
from agents.policies import FixedPolicy
from agents.policy import ActingPolicy, RandomPolicy
from agents.replay.contract import Replay
from agents.replay.runs import Episode, Run
from agents.telemetry import Telemetry
from environment.config import EnvironmentConfig
from environment.prosthetics import ProstheticsEnv
from tests.fakes import FakePhysics

RUN = "small"


def small_config(task: str = "prosthetics-round1", **learner: Any) -> RunConfig:
    """Short episodes, a small network, publications by updates."""
    return RunConfig.of(
        {
            "environment": {"task": task, "max_steps": 60, "frame_skip": 4},
            "replay": {"explore_timesteps": 300, "capacity_timesteps": 5_000, "write_batch": 20},
            "algorithm": {"name": "td3", "settings": {"hidden": [32, 32]}},
            "learner": {"batch_size": 32, "publish_seconds": 1000, "publish_updates": 20, "seed": 3} | learner,
            "evaluation": {"seeds": [11, 22, 33]},
        }
    )


def fake_environment(config: EnvironmentConfig, run: Run | None = None, **physics: Any) -> ProstheticsEnv:
    """The environment of `config` with the fake body; `run` is what a factory of environments is also told."""
    return ProstheticsEnv(config, FakePhysics(**physics))


def open_run(replay: Replay, config: RunConfig, name: str = RUN) -> Run:
    return replay.open_run(describe_run(name, config, fake_environment(config.environment)))


def explore(replay: Replay, config: RunConfig, run: Run, timesteps: int, worker: str = "w") -> list[Episode]:
    """Random episodes of the fake body, through the actor, until the log has so many timesteps more."""
    environment = fake_environment(config.environment)
    policy = RandomPolicy(contract_of(run, config), np.random.default_rng(0))
    seeds = itertools.count(1)

    def plan(_: ActingPolicy) -> EpisodePlan:
        seed = next(seeds)
        return EpisodePlan(seed, UniformActions(np.random.default_rng(seed)), "explore")

    episodes: list[Episode] = []
    writer = replay.writer(run.name, worker)
    for episode in act(environment, FixedPolicy(policy), writer, plan, environment.physics.name, lambda: False):
        episodes.append(episode)
        if sum(episode.length + 1 for episode in episodes) >= timesteps:
            break
    return episodes


def fresh_learner(config: RunConfig, run: Run, seed: int = 3) -> Learner:
    """Another seed, other weights."""
    plain = config.plain()
    plain["learner"]["seed"] = seed
    return build_learner(RunConfig.of(plain), run)


def quiet_telemetry(folder: Path, process: str = "test") -> Telemetry:
    """Writes a status file, and no curves."""
    return Telemetry(folder, process, scalars=False)
