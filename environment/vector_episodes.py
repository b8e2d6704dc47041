"""Seeds, targets, clocks and holds of many episodes, side by side."""

from __future__ import annotations

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from environment import targets
from environment.actions import FrameSkip, FrameSkipSpec
from environment.seeds import HOLDS, drawn_seed, stream
from environment.stages import Stage
from environment.tasks import Task


class Episodes:
    """What `number` environments of a task are asked, each in an episode of its own."""

    def __init__(self, task: Task, frame_skip: FrameSkipSpec, number: int) -> None:
        # For the task's whole length, so that a shorter `max_steps` meets the same targets.
        self._length = task.time_limit_steps
        self._schedule = task.schedule
        self._targets = np.zeros((number, self._length + 1, 3))
        self._ages_s = np.zeros((number, self._length + 1), np.float32)
        self._starts = np.arange(number) * (self._length + 1)
        self._frame_skip = FrameSkip(frame_skip)
        self._always = frame_skip if isinstance(frame_skip, int) or frame_skip[0] < frame_skip[1] else frame_skip[0]
        self._seeding: list[np.random.Generator | None] = [None] * number
        self._skips: list[np.random.Generator] = []
        self.steps = np.zeros(number, np.int64)
        """(N,) control steps since the episodes' starts."""
        self.seeds = np.zeros(number, np.int64)
        """(N,) of the episodes."""

    def begin(self, environment: int, seed: int | None, stage: Stage | None = None) -> int:
        """Starts an episode and returns its seed: `seed`, or one of the generator that the last given one began.

        Args:
            stage: How hard its targets are; None is the task's own.
        """
        generator = self._seeding[environment]
        if seed is not None or generator is None:
            self._seeding[environment] = generator = seeding.np_random(seed)[0]
        episode_seed = drawn_seed(generator) if seed is None else seed
        self._targets[environment] = (stage or Stage())(self._schedule, episode_seed, self._length)
        self._ages_s[environment] = targets.age_s(self._targets[environment])
        if not isinstance(self._always, int):
            self._skips[environment : environment + 1] = [stream(episode_seed, HOLDS)]
        self.seeds[environment] = episode_seed
        self.steps[environment] = 0
        return episode_seed

    def holds(self, moving: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(N,) control steps that the next actions are held; 0 for environments that do not move."""
        if isinstance(self._always, int):
            return np.where(moving, self._always, 0)
        held = np.zeros(len(moving), np.int64)
        for environment in np.flatnonzero(moving).tolist():
            held[environment] = self._frame_skip.draw(self._skips[environment])
        return held

    def targets_m_per_s(self) -> NDArray[np.float64]:
        """(N, 3) that the environments are asked for now."""
        return self._targets.reshape(-1, 3).take(self._starts + self.steps, axis=0)

    def target_ages_s(self) -> NDArray[np.float32]:
        """(N,) how long they have stood; 0 where they have just changed."""
        return self._ages_s.reshape(-1).take(self._starts + self.steps)
