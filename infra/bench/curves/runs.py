"""Runs one after the other, each in a process of its own with one thread, so that none inherits a random state."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from typing import Any, TypeVar

import torch

from infra.bench.curves.contract import Curve, Learn, Task
from infra.bench.curves.sizes import Sizes
from infra.bench.curves.tasks import random_return
from infra.bench.learner.processes import INSTALL
from infra.bench.machine import on_one_core

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Alone = Callable[..., Any]
"""Calls a function with arguments, somewhere where nothing else happens."""


def in_a_process(function: Callable[..., Result], *arguments: Any) -> Result:
    """Its result. Raises: whatever it raises; BrokenProcessPool when its process died."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_begin) as process:
        return process.submit(function, *arguments).result()


def all_curves(
    sizes: Sizes, learners: Mapping[str, Learn], missing: dict[str, str], alone: Alone = in_a_process
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Every curve with its `task`, `learner` and `seed`, and the return of random actions by task.

    Learners take turns, so that a busy hour of the machine meets all. `missing` learns of tasks and learners that can
    not play here, and why; they are left out.
    """
    curves: list[dict[str, Any]] = []
    random: dict[str, float] = {}
    with on_one_core():
        for task in sizes.tasks:
            try:
                random[task.name] = alone(random_return, task)
            except ImportError as error:
                missing[task.name] = f"{error}; {INSTALL}"
                continue
            curves += _of(task, sizes, learners, missing, alone)
    return curves, random


def _of(
    task: Task, sizes: Sizes, learners: Mapping[str, Learn], missing: dict[str, str], alone: Alone
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for seed in sizes.seeds:
        for name, learn in learners.items():
            if name in missing:
                continue
            try:
                curve: Curve = alone(learn, task, sizes.setting, seed)
            except ImportError as error:
                missing[name] = f"{error}; {INSTALL}"
                continue
            found.append({"task": task.name, "learner": name, "seed": seed, **asdict(curve)})
            log.info("%s, %s, seed %d: %.0f s, %.0f", task.name, name, seed, curve.seconds, curve.returns[-1])
    return found


def _begin() -> None:
    torch.set_num_threads(1)
