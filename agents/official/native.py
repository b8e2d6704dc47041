"""The fast scorer: many noise-free episodes on the native engine, side by side.

A policy sees the rows of a batch at once, whose sums may differ from those of one row in the last digit; so the returns
of one episode here and alone are equal only as far as the motion forgives that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from agents.official.episode import EpisodeScore, Motion, Played
from agents.official.rules import ACCURATE, Actor, BatchPolicy, check_fits, environment_of, on_native
from environment.config import EnvironmentConfig
from environment.physics.native.settings import NativeSettings
from environment.vector import ProstheticsVectorEnv

LANES = 64
"""Most episodes simulated at once; more are no faster for each, and take memory."""
Stop = Callable[[], bool]


def score_natively(
    policy: BatchPolicy,
    seeds: Sequence[int],
    task: str = "prosthetics-round2",
    settings: NativeSettings = ACCURATE,
    *,
    max_steps: int | None = None,
    threads: int = 1,
    stop: Stop = lambda: False,
) -> list[EpisodeScore]:
    """One noise-free episode per seed, in their order; fewer when `stop` said so (whole groups of `LANES`).

    Args:
        seeds: 0..2**32-1. Those for choosing among checkpoints and those for reports: `agents.official.seeds`.
        task: Of the policy's body; the round need not be the one it was trained for.
        max_steps: Ends episodes earlier than the task.
        threads: That simulate.

    Raises: PolicyMismatch when the policy can not act on this body.
    """
    config = on_native(environment_of(policy.contract, task, max_steps), settings)
    episodes = _Episodes(config, lambda _: policy, min(LANES, len(seeds)), threads, whole=False)
    with closing(episodes):
        check_fits(policy.contract, episodes.environment)
        return [played.score for played in episodes.play(seeds, stop)]


def scores_natively(
    config: EnvironmentConfig, actor: Actor, seeds: Sequence[int], *, threads: int = 1, stop: Stop = lambda: False
) -> list[EpisodeScore]:
    """The same for anything that acts in `config`."""
    with closing(_Episodes(config, actor, min(LANES, len(seeds)), threads, whole=False)) as episodes:
        return [played.score for played in episodes.play(seeds, stop)]


def play_natively(
    config: EnvironmentConfig, actor: Actor, seeds: Sequence[int], *, threads: int = 1, stop: Stop = lambda: False
) -> Iterator[Played]:
    """The same with the whole states of each episode, 1.7 MB for 1,000 steps; a group of `LANES` at a time."""
    with closing(_Episodes(config, actor, min(LANES, len(seeds)), threads, whole=True)) as episodes:
        yield from episodes.play(seeds, stop)


class _Episodes:
    """Episodes in the lanes of one vector environment, group after group."""

    def __init__(self, config: EnvironmentConfig, actor: Actor, lanes: int, threads: int, *, whole: bool) -> None:
        self.environment = ProstheticsVectorEnv(config, max(1, lanes), threads=threads)
        self._actor = actor
        layout = self.environment.layout
        self._motion = Motion(layout)
        self._kept: NDArray[np.intp] = np.arange(layout.size) if whole else self._motion.columns
        self._in_kept = self._motion.columns if whole else np.arange(len(self._motion.columns))

    def close(self) -> None:
        """Frees the simulator."""
        self.environment.close()

    def play(self, seeds: Sequence[int], stop: Stop) -> Iterator[Played]:
        lanes = self.environment.num_envs
        for group in range(math.ceil(len(seeds) / lanes)):
            some = list(seeds[group * lanes : (group + 1) * lanes])
            # Lanes without an episode of their own repeat the last one's.
            found = self._group([*some, *some[-1:] * (lanes - len(some))], len(some), stop)
            if found is None:
                return
            yield from found

    def _group(self, seeds: list[int], wanted: int, stop: Stop) -> list[Played] | None:
        """Episodes of these seeds, one in every lane; None when `stop` said so before all of them were over."""
        environment, act = self.environment, self._actor(seeds)
        observation, info = environment.reset(seed=seeds)
        lanes = [_Lane(environment.time_limit_steps, len(self._kept)) for _ in range(wanted)]
        for number, lane in enumerate(lanes):
            lane.arrive(info["timesteps"]["state"][number, :1][:, self._kept])
        while any(lane.ended is None for lane in lanes):
            if stop():
                return None
            observation, rewards, _, _, info = environment.step(act(observation))
            columns = info["timesteps"]
            for number, lane in enumerate(lanes):
                # What is over goes on with an episode that nobody looks at, until the last one is over.
                if lane.ended is None:
                    taken = int(columns["taken"][number])
                    lane.arrive(columns["state"][number, :taken][:, self._kept])
                    lane.episode_return += float(rewards[number])
                    lane.ended = info["ended"][number]
        return [self._played(seed, lane) for seed, lane in zip(seeds, lanes, strict=False)]

    def _played(self, seed: int, lane: _Lane) -> Played:
        states = lane.states[: lane.length]
        score = EpisodeScore(
            seed=seed,
            task=self.environment.config.task,
            physics=self.environment.physics.name,
            episode_return=lane.episode_return,
            length=lane.length - 1,
            ended=str(lane.ended),
            **self._motion.of(states[:, self._in_kept]),
        )
        return Played(score, states)


class _Lane:
    """One episode as it goes on."""

    def __init__(self, steps: int, columns: int) -> None:
        self.states = np.zeros((steps + 1, columns), np.float32)
        self.length = 0
        """Rows of `states`."""
        self.episode_return = 0.0
        self.ended: str | None = None

    def arrive(self, states: NDArray[np.float32]) -> None:
        """Appends states (k, C)."""
        self.states[self.length : self.length + len(states)] = states
        self.length += len(states)
