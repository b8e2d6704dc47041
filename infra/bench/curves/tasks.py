"""Gymnasium's tasks with actions in [-1, 1], and the score of a policy on fixed starts."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import RescaleAction

from infra.bench.curves.contract import Act, Curve, Float32, Task

EVALUATION_SEEDS = (1000, 1001, 1002, 1003, 1004)
"""Of the episodes that score a policy: the same for everyone, and none that anyone learns on."""

Environment = gymnasium.Env[Any, Any]


def make(task: Task) -> Environment:
    """With its time limit. Raises: ImportError when the simulator is not here."""
    try:
        return RescaleAction(gymnasium.make(task.name), np.float32(-1), np.float32(1))
    except gymnasium.error.DependencyNotInstalled as error:
        raise ImportError(f"{task.name}: {error}") from error


def sizes_of(environment: Environment) -> tuple[int, int]:
    """Of observation and action."""
    seen, done = environment.observation_space.shape, environment.action_space.shape
    if seen is None or done is None:
        raise ValueError(f"{environment} has observations or actions that are no vectors of numbers")
    return seen[0], done[0]


class Evaluator:
    """Plays an episode of each evaluation seed to its end, all side by side."""

    def __init__(self, task: Task) -> None:
        self._environments = [make(task) for _ in EVALUATION_SEEDS]

    def __call__(self, act: Act) -> float:
        """Mean undiscounted return."""
        total = 0.0
        playing = [
            (one, one.reset(seed=seed)[0]) for one, seed in zip(self._environments, EVALUATION_SEEDS, strict=True)
        ]
        while playing:
            actions = act(np.stack([observation for _, observation in playing]).astype(np.float32))
            still = []
            for (one, _), action in zip(playing, actions, strict=True):
                observation, reward, terminated, truncated, _ = one.step(action)
                total += float(reward)
                if not (terminated or truncated):
                    still.append((one, observation))
            playing = still
        return total / len(self._environments)


class Scores:
    """A curve in the making: asked after every step of the environment, it evaluates at the task's marks."""

    def __init__(self, task: Task) -> None:
        self._task, self._evaluator = task, Evaluator(task)
        self._steps: list[int] = []
        self._returns: list[float] = []

    def stepped(self, steps: int, act: Act) -> bool:
        """Whether there are steps left after so many."""
        if steps % self._task.evaluate_every == 0:
            self._steps.append(steps)
            self._returns.append(self._evaluator(act))
        return steps < self._task.steps

    def curve(self, updates: int, seconds: float) -> Curve:
        return Curve(steps=tuple(self._steps), returns=tuple(self._returns), updates=updates, seconds=seconds)


def random_return(task: Task) -> float:
    """What uniformly random actions earn in the same episodes: where every curve starts from."""
    generator, (_, size) = np.random.default_rng(0), sizes_of(make(task))

    def act(observation: Float32) -> Float32:
        return generator.uniform(-1, 1, (len(observation), size)).astype(np.float32)

    evaluator = Evaluator(task)
    return float(np.mean([evaluator(act) for _ in range(4)]))
