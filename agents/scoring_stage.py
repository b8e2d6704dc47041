"""Where versions are scored: one body, or many side by side on the native engine, which costs a fraction and gives the
same numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from agents.actor import Stop
from agents.baselines import Score
from agents.batch_evaluator import score_together
from agents.build import build_environments
from agents.evaluator import Explores, score
from agents.policy import ActingPolicy
from agents.replay.contract import EpisodeWriter
from agents.replay.runs import Run
from environment.prosthetics import ProstheticsEnv

MOST_BODIES = 32
"""Side by side; a third of them is as fast for each, and more leave fewer alone with the last episodes."""
Writers = Callable[[int], EpisodeWriter]
"""The writer of each body, made when it is first asked for."""


class Stage:
    """An environment to score in."""

    def __init__(self, run: Run, environment: ProstheticsEnv, episodes: int, *, together: bool) -> None:
        """For so many episodes at a time, as a rule; `together`: with several bodies, where the physics can."""
        self.environment = environment
        bodies = min(episodes, math.ceil(episodes / math.ceil(episodes / MOST_BODIES)))
        together = together and bodies > 1 and environment.config.physics == "native"
        self._many = build_environments(environment.config, run, bodies) if together else None

    @property
    def physics(self) -> str:
        """Name of the engine with its settings."""
        return self.environment.physics.name

    def score(
        self,
        policy: ActingPolicy,
        writers: Writers,
        seeds: Sequence[int],
        stop: Stop,
        exploration: Explores,
        each: Callable[[Score], None],
    ) -> Score:
        """One episode per seed, into the log. Raises: Stopped."""
        if self._many is None:
            return score(self.environment, policy, writers(0), seeds, self.physics, stop, exploration, each)
        own = [writers(body) for body in range(self._many.num_envs)]
        return score_together(self._many, policy, own, seeds, self.physics, stop, exploration, each)

    def close(self) -> None:
        """Frees the simulators."""
        self.environment.close()
        if self._many is not None:
            self._many.close()
