"""One scored episode in an environment of one body: how OpenSim is scored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agents.official.episode import EpisodeScore, Motion, Played
from agents.official.rules import Actor
from environment.prosthetics import ProstheticsEnv


def play_alone(
    environment: ProstheticsEnv, actor: Actor, seed: int, stop: Callable[[], bool] = lambda: False
) -> Played | None:
    """The episode of `seed`; None when `stop` said so in the middle.

    Raises: SimulationError when the simulator can not even start. One that fails later ends the episode.
    """
    act, motion = actor([seed]), Motion(environment.layout)
    observation, info = environment.reset(seed=seed)
    states, total = [info["timesteps"][0].state], 0.0
    while info["ended"] is None:
        if stop():
            return None
        observation, reward, _, _, info = environment.step(act(observation[None])[0])
        states += [timestep.state for timestep in info["timesteps"]]
        total += reward
    whole = np.stack(states)
    score = EpisodeScore(
        seed=seed,
        task=environment.config.task,
        physics=environment.physics.name,
        episode_return=total,
        length=len(whole) - 1,
        ended=info["ended"],
        **motion.of(whole[:, motion.columns]),
    )
    return Played(score, whole)
