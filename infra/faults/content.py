"""What workers write: every timestep follows from its episode's id, so whoever finds it can say what it must be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.replay.columns import EpisodeTimesteps, TimestepBlock
from agents.replay.ids import EPISODE_BITS
from agents.replay.runs import EpisodeStart, Purpose

_SHORTEST, _LONGEST = 20, 149
"""Control steps of an episode …"""
_STRIDE = 7919
"""… which differ from one to the next."""


class Content:
    """Episodes over states that the engine was in."""

    def __init__(self, states: NDArray[np.float32], muscles: int) -> None:
        """`states`: (N, S), cut out of at random places."""
        self._states, self._muscles = states, muscles

    @classmethod
    def load(cls, path: Path) -> Content:
        """What `save` wrote; the file is only mapped."""
        states = np.load(path, mmap_mode="r")
        return cls(states, int(path.suffixes[0].removeprefix(".")))

    def save(self, folder: Path) -> Path:
        """Writes it for another process; returns where."""
        path = folder / f"states.{self._muscles}.npy"
        np.save(path, self._states)
        return path

    def length(self, episode: int) -> int:
        """Control steps T of an episode."""
        return _SHORTEST + episode * _STRIDE % (_LONGEST - _SHORTEST + 1)

    def episode(self, episode: int) -> EpisodeTimesteps:
        """All T+1 timesteps: actions held for 1 to 4 steps, no two episodes alike, ended by a fall or a time limit."""
        generator = np.random.default_rng(episode)
        count = 1 + self.length(episode)
        rows = (int(generator.integers(len(self._states))) + np.arange(count)) % len(self._states)
        excitation = generator.random((count, self._muscles), dtype=np.float32)
        policy_action, reward = 2 * excitation - 1, generator.uniform(0.0, 10.0, count)
        excitation[0], policy_action[0], reward[0] = 0.0, 0.0, 0.0
        step = np.arange(count)
        falls, last = episode % 3 > 0, step == count - 1
        return EpisodeTimesteps(
            episode=episode,
            state=self._states[rows],
            excitation=excitation,
            policy_action=policy_action,
            decision=(step > 0) & ((step - 1) % (1 + episode % 4) == 0),
            reward=reward,
            terminated=last & falls,
            truncated=last & (not falls),
            policy_version=np.full(count, self.start(episode).policy_version),
        )

    def start(self, episode: int) -> EpisodeStart:
        """What is known when it starts. Some are evaluations, which no mirror may take."""
        number = episode & ((1 << EPISODE_BITS) - 1)
        purpose: Purpose = "evaluate" if number % 7 == 6 else "train"
        return EpisodeStart(seed=episode, policy_version=number // 10, purpose=purpose)


def block_of(steps: EpisodeTimesteps) -> TimestepBlock:
    """The same timesteps as a writer takes them."""
    return TimestepBlock(
        steps.state,
        steps.excitation,
        steps.policy_action,
        steps.decision,
        steps.reward,
        steps.terminated,
        steps.truncated,
    )


def pieces(count: int, size: int) -> Iterator[slice]:
    """Slices of the rows 1..count-1, `size` at a time."""
    for first in range(1, count, size):
        yield slice(first, min(count, first + size))
