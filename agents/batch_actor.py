"""LOOP 1 for many bodies: checkpoint -> policy -> episodes side by side -> timesteps.

Every body does what `actor.py` does with one: an episode after another, each planned, explored and written by itself.
They share the simulator's calls and the policy's. Knows contracts only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.actor import EpisodePlan, Planner, PolicySource, Stop
from agents.batch_episodes import Clock, Moment, Sums, blocks
from agents.exploration.contract import ActionExploration, Float32
from agents.policy import ActingPolicy
from agents.replay.contract import EpisodeWriter
from agents.replay.runs import Episode, EpisodeStart
from environment.timestep import TimeStep
from environment.vector_decision import timesteps

Bools = NDArray[np.bool_]


class Environments(Protocol):
    """What the actor needs of N environments: Gymnasium's vector calls, with resets only where it asks for them."""

    def reset(self, *, seed: Sequence[int | None], options: dict[str, Any]) -> tuple[Float32, dict[str, Any]]: ...

    def step(self, actions: Float32) -> tuple[Float32, NDArray[np.float64], Bools, Bools, dict[str, Any]]: ...


def act_together(
    environments: Environments,
    policies: PolicySource,
    writers: Sequence[EpisodeWriter],
    plans: Sequence[Planner],
    physics: str,
    stop: Stop,
) -> Iterator[Episode]:
    """Plays one episode after another in each of N bodies, and yields what was written of each when it ends.

    A body begins its next episode with the newest policy, whatever the others are doing. Ends after `stop` says so: at
    once, with the open episodes marked aborted. They are also when it is closed, and when it raises what `act` raises.

    Args:
        writers: (N,) each body's own.
        plans: (N,) each body's own.
    """
    bodies = [Body(writer, plan) for writer, plan in zip(writers, plans, strict=True)]
    clock, sums = Clock(), Sums(len(bodies))
    over = np.ones(len(bodies), dtype=bool)
    with ExitStack() as ending:
        for body in bodies:
            ending.callback(body.writer.abort)
        while not stop():
            if over.any():
                observations = begin(environments, bodies, over, policies.latest(), physics, clock)
                sums.clear(over)
            observations, _, terminated, truncated, infos = environments.step(decide(bodies, observations))
            for body, block in zip(bodies, blocks(infos["timesteps"]), strict=True):
                body.writer.add_many(block)
            sums.add(infos)
            clock.steps += int(infos["timesteps"]["taken"].sum())
            over = terminated | truncated
            yield from [
                bodies[i].writer.end(ended=infos["ended"][i], step_ms_mean=clock.step_ms(bodies[i].began), **sums.of(i))
                for i in np.flatnonzero(over).tolist()
            ]
        yield from [aborted for body in bodies if (aborted := body.writer.abort()) is not None]


def begin(
    environments: Environments, bodies: Sequence[Body], over: Bools, policy: ActingPolicy, physics: str, clock: Clock
) -> Float32:
    """Begins an episode in every body of the mask `over`; returns the observations of all."""
    seeds: list[int | None] = [None] * len(bodies)
    rows = np.flatnonzero(over).tolist()
    for row in rows:
        seeds[row] = bodies[row].prepare(policy)
    observations, infos = environments.reset(seed=seeds, options={"reset_mask": over})
    for row in rows:
        (first,) = timesteps(infos["timesteps"], row)
        bodies[row].begin(first, physics, clock.now(), infos["start"][row] if "start" in infos else {})
    return observations


def decide(bodies: Sequence[Body], observations: Float32) -> Float32:
    """(N, O) -> (N, M) what the bodies do now. A policy is asked once for all that need nothing but its action; an
    exploration that needs more asks for itself.
    """
    actions: dict[int, Float32] = {}
    together: dict[int, list[int]] = {}
    for row, body in enumerate(bodies):
        if body.noise is None:
            actions[row] = body.plan.exploration(observations[row])
        else:
            together.setdefault(id(body.policy), []).append(row)
    for rows in together.values():
        own = bodies[rows[0]].policy(observations if len(rows) == len(bodies) else observations[rows])
        for row, action in zip(rows, own, strict=True):
            noise = bodies[row].noise
            assert noise is not None
            actions[row] = noise.explored(action)
    return np.stack([actions[row] for row in range(len(bodies))])


class Body:
    """One of the bodies: its life in the log, and the episode that it is in."""

    policy: ActingPolicy
    plan: EpisodePlan
    noise: ActionExploration | None
    """The plan's exploration, if it can do with the policy's action."""
    began: Moment

    def __init__(self, writer: EpisodeWriter, planner: Planner) -> None:
        self.writer, self._planner = writer, planner

    def prepare(self, policy: ActingPolicy) -> int:
        """Plans an episode with `policy`, and returns its seed."""
        self.plan = self._planner(policy)
        self.policy = self.plan.mean or policy
        explore = self.plan.exploration
        explore.reset(self.policy)
        self.noise = explore if isinstance(explore, ActionExploration) else None
        return self.plan.seed

    def begin(self, first: TimeStep, physics: str, now: Moment, how: Mapping[str, Any]) -> None:
        """Opens the episode in the log."""
        start = EpisodeStart(
            seed=self.plan.seed,
            policy_version=self.policy.version,
            purpose=self.plan.purpose,
            exploration=self.plan.described(),
            physics=physics,
            start=how,
        )
        self.writer.begin(start, first)
        self.began = now
