"""Several kinds of work in turns, so that a slow moment of the machine meets all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Work = Callable[[], int]
"""Does some of it; returns how much."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How much is done in a second."""

    per_s: float
    """Of wall time."""
    per_processor_s: float
    """Of the time that this process had a processor: other programs disturb it less."""


def in_turns(works: Mapping[str, Work], rounds: int, turn_s: float) -> dict[str, Rate]:
    """Medians over turns of at least `turn_s` each, after one piece of each as a warm-up."""
    for work in works.values():
        work()
    found: dict[str, list[Rate]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(rate(work, turn_s))
    return {name: _median(rates) for name, rates in found.items()}


def rate(work: Work, turn_s: float) -> Rate:
    """Of one turn."""
    done, passed_s = 0, 0.0
    started_s, processor_s = time.perf_counter(), time.process_time()
    while done == 0 or passed_s < turn_s:
        done += work()
        passed_s = time.perf_counter() - started_s
    return Rate(done / passed_s, done / max(time.process_time() - processor_s, 1e-9))


def _median(rates: list[Rate]) -> Rate:
    return Rate(
        float(np.median([one.per_s for one in rates])), float(np.median([one.per_processor_s for one in rates]))
    )
