"""LOOP 3 for many bodies: a policy's noise-free episodes side by side, one per seed.

The scores are those that `evaluator.py` gives, to the last bit: the bodies share the simulator's calls, but each asks
the policy for itself, since of many observations at once the sums are rounded otherwise, and a chaotic body makes
another episode of that. Knows contracts only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agents.actor import EpisodePlan, Planner, Stop
from agents.baselines import Score
from agents.batch_actor import Body, Environments, begin
from agents.batch_episodes import Clock, Sums, blocks
from agents.evaluator import Explores, Stopped, quietly, score_of
from agents.exploration.contract import Float32
from agents.policy import ActingPolicy
from agents.replay.contract import EpisodeWriter
from agents.replay.runs import Episode

Bools = NDArray[np.bool_]


class RestingEnvironments(Environments, Protocol):
    """N environments, some of which may be left out."""

    num_envs: int

    def rest(self, which: Bools) -> None:
        """Those in the mask (N,) take no steps until they are reset."""


def score_together(
    environments: RestingEnvironments,
    policy: ActingPolicy,
    writers: Sequence[EpisodeWriter],
    seeds: Sequence[int],
    physics: str,
    stop: Stop,
    exploration: Explores = quietly,
    each: Callable[[Score], None] = lambda _: None,
) -> Score:
    """What `score` does with one body. A body whose episode is over takes the next seed, or rests.

    Args:
        writers: (N,) each body's own.

    Raises: Stopped.
    """
    waiting, found = deque(range(len(seeds))), dict[int, Episode]()
    playing: dict[int, int] = {}
    """Body -> the place of its seed."""

    def plan(body: int) -> Planner:
        def of_its_seed(_: ActingPolicy) -> EpisodePlan:
            seed = seeds[playing[body]]
            return EpisodePlan(seed, exploration(seed), "evaluate")

        return of_its_seed

    number = environments.num_envs
    bodies = [Body(writer, plan(body)) for body, writer in zip(range(number), writers, strict=True)]
    clock, sums, all_of_them = Clock(), Sums(number), np.ones(number, dtype=bool)
    with ExitStack() as ending:
        for one in bodies:
            ending.callback(one.writer.abort)
        # The first reset has to be of all.
        observations, _ = environments.reset(seed=[0] * number, options={"reset_mask": all_of_them})
        environments.rest(all_of_them)
        while len(found) < len(seeds):
            if stop():
                raise Stopped("stopped in the middle of an evaluation; there is no score")
            starting = [body for body in range(number) if body not in playing][: len(waiting)]
            if starting:
                playing |= {body: waiting.popleft() for body in starting}
                mask = np.isin(np.arange(number), starting)
                observations = begin(environments, bodies, mask, policy, physics, clock)
                sums.clear(mask)
            observations, _, terminated, truncated, infos = environments.step(_act(bodies, playing, observations))
            taken = blocks(infos["timesteps"])
            for body in playing:
                bodies[body].writer.add_many(taken[body])
            sums.add(infos)
            clock.steps += int(infos["timesteps"]["taken"].sum())
            over = terminated | truncated
            for body in [body for body in sorted(playing) if over[body]]:
                found[playing.pop(body)] = bodies[body].writer.end(
                    ended=infos["ended"][body], step_ms_mean=clock.step_ms(bodies[body].began), **sums.of(body)
                )
                each(score_of(seeds, found))
            environments.rest(over)
    return score_of(seeds, found)


def _act(bodies: Sequence[Body], playing: Collection[int], observations: Float32) -> Float32:
    """(N, O) -> (N, M) of those that play, each by itself; 0 of the others."""
    acts = {body: bodies[body].plan.exploration(observations[body]) for body in playing}
    actions = np.zeros((len(bodies), len(next(iter(acts.values())))), np.float32)
    for body, action in acts.items():
        actions[body] = action
    return actions
