"""A task is a model, a reward, a target schedule and a time limit, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from environment import targets
from environment.targets import Schedule


@dataclass(frozen=True, slots=True)
class Task:
    """One challenge. The numbers are osim-rl 2.1.5's."""

    name: str
    model: str
    """Key of `environment.physics.models.MODELS`."""
    reward: str
    """Key of `environment.rewards.TASK_REWARDS`."""
    schedule: Schedule
    time_limit_steps: int


def _tasks() -> Mapping[str, Task]:
    rounds: tuple[tuple[str, Schedule, int], ...] = (
        ("round1", targets.fixed, 300),
        ("round2", targets.poisson_changes, 1000),
    )
    bodies = {"prosthetics": "3D_pros", "intact": "3D", "prosthetics-planar": "2D_pros", "intact-planar": "2D"}
    return {
        f"{body}-{reward}": Task(f"{body}-{reward}", model, reward, schedule, limit)
        for body, model in bodies.items()
        for reward, schedule, limit in rounds
    }


TASKS = _tasks()
"""`prosthetics-round1`, `prosthetics-round2`, and the same for `intact`, `prosthetics-planar`, `intact-planar`."""


def task(name: str) -> Task:
    """Raises: KeyError with the names that exist."""
    if name not in TASKS:
        raise KeyError(f"no task {name!r}; there are {', '.join(TASKS)}")
    return TASKS[name]
