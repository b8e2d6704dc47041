"""Stored runs of the real body's random falls, for tests of what the fake body has no sides for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import closing

import numpy as np

from agents.actor import EpisodePlan, act
from agents.build import contract_of, describe_run
from agents.config import RunConfig
from agents.exploration.uniform import UniformActions
from agents.policies import FixedPolicy
from agents.policy import ActingPolicy, RandomPolicy
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Run
from environment.prosthetics import ProstheticsEnv

EPISODES = 4


def stored_falls(config: RunConfig, names: Sequence[str]) -> tuple[MemoryReplay, list[Run]]:
    """A log with a run of `EPISODES` episodes under each name, the same in all."""
    replay, runs = MemoryReplay(), []
    with closing(ProstheticsEnv(config.environment)) as environment:
        for name in names:
            run = replay.open_run(describe_run(name, config, environment))
            seeds = itertools.count(1)

            def plan(_: ActingPolicy, seeds: itertools.count[int] = seeds) -> EpisodePlan:
                seed = next(seeds)
                return EpisodePlan(seed, UniformActions(np.random.default_rng(seed)), "explore")

            policy = FixedPolicy(RandomPolicy(contract_of(run, config), np.random.default_rng(0)))
            played = act(environment, policy, replay.writer(name, "w"), plan, "native", lambda: False)
            for _ in itertools.islice(played, EPISODES):
                pass
            runs.append(run)
    return replay, runs
