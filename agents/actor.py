"""LOOP 1: checkpoint -> policy -> episode -> timesteps.

Knows contracts only. A worker runs it for as long as it lives; the evaluator runs single episodes of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.exploration.contract import Exploration
from agents.policy import ActingPolicy
from agents.replay.contract import EpisodeWriter
from agents.replay.runs import Episode, EpisodeStart, Purpose
from environment.timestep import TimeStep

Float32 = NDArray[np.float32]
Stop = Callable[[], bool]


class Environment(Protocol):
    """What the actor needs of an environment: Gymnasium's calls, and in `info` what `ProstheticsEnv` tells there."""

    def reset(self, *, seed: int | None = None) -> tuple[Float32, dict[str, Any]]: ...

    def step(self, action: Float32) -> tuple[Float32, float, bool, bool, dict[str, Any]]: ...


class PolicySource(Protocol):
    """Where an actor's policies come from; asked once before every episode."""

    def latest(self) -> ActingPolicy:
        """The newest policy that may act here."""


@dataclass(frozen=True, slots=True)
class EpisodePlan:
    """What is decided before an episode starts."""

    seed: int
    exploration: Exploration
    purpose: Purpose = "train"
    mean: ActingPolicy | None = None
    """Acts in place of the newest policy: the running mean that was published with it."""

    def described(self) -> dict[str, Any]:
        """How it explores, for the episode's document."""
        return self.exploration.describe() | ({"policy": "mean"} if self.mean is not None else {})


Planner = Callable[[ActingPolicy], EpisodePlan]
"""Decides how the next episode explores, knowing who acts."""


def act(
    environment: Environment, policies: PolicySource, writer: EpisodeWriter, plan: Planner, physics: str, stop: Stop
) -> Iterator[Episode]:
    """Plays one episode after another, each with the newest policy, and yields what was written of each.

    Ends after `stop` says so: at once, with the open episode marked aborted. Raises SimulationError when the simulator
    can not even be reset, and whatever the stores raise; what was simulated until then is written first.
    """
    while not stop():
        policy = policies.latest()
        planned = plan(policy)
        yield play(environment, planned.mean or policy, writer, planned, physics, stop)


def play(
    environment: Environment, policy: ActingPolicy, writer: EpisodeWriter, plan: EpisodePlan, physics: str, stop: Stop
) -> Episode:
    """Plays one episode into the log and returns its document.

    The episode ends as `aborted` when `stop` says so, and when something other than the simulator fails in the middle.
    """
    explore = plan.exploration
    explore.reset(policy)
    observation, info = environment.reset(seed=plan.seed)
    started_s = time.perf_counter()
    start = EpisodeStart(
        seed=plan.seed,
        policy_version=policy.version,
        purpose=plan.purpose,
        exploration=plan.described(),
        physics=physics,
        start=info.get("start", {}),
    )
    writer.begin(start, first_of(info))
    terms: dict[str, float] = {}
    rounds: dict[str, float] = {}
    steps = 0
    try:
        while info["ended"] is None and not stop():
            action = explore(observation)
            observation, _, _, _, info = environment.step(action)
            for timestep in info["timesteps"]:
                writer.add(timestep)
            steps += len(info["timesteps"])
            terms, rounds = _added(terms, info["reward_terms"]), _added(rounds, info["round_rewards"])
    except BaseException:
        writer.abort()
        raise
    if info["ended"] is None:
        return _aborted(writer)
    step_ms = 1e3 * (time.perf_counter() - started_s) / max(steps, 1)
    return writer.end(ended=info["ended"], reward_terms=terms, round_returns=rounds, step_ms_mean=step_ms)


def first_of(info: dict[str, Any]) -> TimeStep:
    """The reset timestep in a reset's `info`."""
    (first,) = info["timesteps"]
    if not isinstance(first, TimeStep):
        raise TypeError(f"info['timesteps'] after a reset holds {type(first).__name__}, a TimeStep is needed")
    return first


def _added(sums: dict[str, float], more: Mapping[str, float]) -> dict[str, float]:
    """A decision without a control step has nothing to add."""
    return {name: sums.get(name, 0.0) + value for name, value in more.items()} or sums


def _aborted(writer: EpisodeWriter) -> Episode:
    episode = writer.abort()
    if episode is None:
        raise RuntimeError("the writer lost the open episode")
    return episode
