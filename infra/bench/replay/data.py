"""Timesteps to write: states that the engine was in, cut into episodes of one length, without end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.build import describe_run
from agents.config import RunConfig
from agents.replay.codec import Rows, TimestepCodec
from agents.replay.documents import Document, episode_document, utc_now
from agents.replay.ids import STEP_BITS, episode_id
from agents.replay.runs import Episode, EpisodeStart, Run
from environment.config import EnvironmentConfig
from environment.prosthetics import ProstheticsEnv
from environment.timestep import TimeStep

STEPS = 149
"""Control steps of every episode …"""
TIMESTEPS = STEPS + 1
"""… which with the reset state are so many timesteps."""
_ENDED = "fall"


@cache
def run_of_bench(name: str = "bench") -> Run:
    """A run of the default configuration."""
    config = RunConfig()
    environment = ProstheticsEnv(config.environment)
    try:
        return describe_run(name, config, environment)
    finally:
        environment.close()


@dataclass(frozen=True, slots=True)
class Source:
    """E episodes, written again and again under other numbers; every control step is a decision."""

    state: NDArray[np.float32]
    """(E, 150, S)"""
    excitation: NDArray[np.float32]
    """(E, 150, M)"""
    reward: NDArray[np.float64]
    """(E, 150)"""

    def rows(self, codec: TimestepCodec, writer: int, first: int, count: int) -> Rows:
        """(150 count,) documents of the writer's episodes `first` and following."""
        numbers = range(first, first + count)
        which = np.arange(first, first + count) % len(self.state)
        episode = np.repeat([episode_id(writer, number) for number in numbers], TIMESTEPS)
        step = np.tile(np.arange(TIMESTEPS), count)
        rows = codec.blank(count * TIMESTEPS)
        rows["_id"] = episode << STEP_BITS | step
        rows["episode"], rows["step"] = episode, step
        rows["state"] = self.state[which].reshape(len(rows), -1)
        rows["action"] = self.excitation[which].reshape(len(rows), -1)
        rows["policy_action"] = np.where(step[:, None] > 0, 2.0 * rows["action"] - 1.0, 0.0)
        rows["decision"] = step > 0
        rows["reward"] = self.reward[which].reshape(-1)
        rows["terminated"] = step == STEPS
        rows["policy_version"] = np.repeat([number // 100 for number in numbers], TIMESTEPS)
        rows["time"] = round(utc_now().timestamp() * 1000)
        return rows

    def document(self, run: str, writer: int, number: int) -> Document:
        """The episode's, written after its timesteps."""
        now, total = utc_now(), self._return(number)
        return episode_document(
            Episode(
                id=episode_id(writer, number),
                run=run,
                worker="bench",
                writer=writer,
                start=EpisodeStart(seed=1, policy_version=number // 100),
                length=STEPS,
                episode_return=total,
                reward_terms={"all": total},
                ended=_ENDED,
                terminated=True,
                truncated=False,
                step_ms_mean=1.0,
                started=now,
                finished=now,
            )
        )

    def timesteps(self, number: int) -> Iterator[TimeStep]:
        """The same as a worker sees them."""
        which = number % len(self.state)
        for step in range(TIMESTEPS):
            excitation = self.excitation[which, step]
            yield TimeStep(
                step=step,
                state=self.state[which, step],
                excitation=excitation,
                policy_action=2 * excitation - 1 if step else np.zeros_like(excitation),
                decision=step > 0,
                reward=float(self.reward[which, step]),
                terminated=step == STEPS,
                truncated=False,
            )

    def ending(self, number: int) -> dict[str, Any]:
        """What a worker tells at the end."""
        return {"ended": _ENDED, "reward_terms": {"all": self._return(number)}, "step_ms_mean": 1.0}

    def _return(self, number: int) -> float:
        return float(self.reward[number % len(self.state)].sum())


def play(episodes: int, seed: int = 1) -> Source:
    """Random actions on the native engine, begun anew after every fall: real numbers compress as real ones do."""
    environment = ProstheticsEnv(EnvironmentConfig(frame_skip=1))
    generator = np.random.default_rng(seed)
    states, muscles = environment.layout.size, len(environment.physics.muscles)
    state = np.empty((episodes * TIMESTEPS, states), np.float32)
    excitation = generator.random((episodes * TIMESTEPS, muscles), dtype=np.float32)
    reward = generator.uniform(0.0, 10.0, episodes * TIMESTEPS)
    over = True
    for row in range(len(state)):
        if over:
            environment.reset(seed=seed)
            over = False
        else:
            _, _, terminated, truncated, _ = environment.step(2 * excitation[row] - 1)
            over = terminated or truncated
        state[row] = environment.state
    environment.close()
    excitation[::TIMESTEPS], reward[::TIMESTEPS] = 0.0, 0.0
    shape = (episodes, TIMESTEPS)
    return Source(state.reshape(*shape, -1), excitation.reshape(*shape, -1), reward.reshape(shape))
