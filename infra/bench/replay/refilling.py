"""How fast a new learner's mirror fills from the log, beside a query that decodes documents into dictionaries."""

from __future__ import annotations

import time

import numpy as np

from agents.memory import build_mirror
from agents.replay.mirror import Mirror
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Run
from infra.bench.replay.configurations import configuration
from infra.bench.replay.peers.original import Original
from infra.bench.replay.rows import Bar, Row, row

REFILL = Bar(200_000.0, 500_000.0)


def refilling(log: MongoReplay, run: Run, original: Original, capacity: int, refills: int) -> Row:
    """Medians of some refills of a fresh mirror each, in turns with the peer; a first one of each warms the caches."""
    ours, theirs = [], []
    for _ in range(1 + refills):
        _, rate = refill(log, run, capacity)
        ours.append(rate)
        theirs.append(original.find_rate())
    return row(
        "warm refill of the mirror",
        float(np.median(ours[1:])),
        "timesteps/s",
        peer=("find() into dictionaries", float(np.median(theirs[1:]))),
        bar=REFILL,
        slowest=min(ours[1:]),
        timesteps=capacity,
    )


def refill(log: MongoReplay, run: Run, capacity: int, **how: str) -> tuple[Mirror, float]:
    """A mirror that holds what the log does, and the timesteps per second at which it took them.

    Args:
        how: As `configuration` takes it.

    Raises: RuntimeError when it does not hold `capacity` timesteps then.
    """
    mirror = build_mirror(configuration(capacity, **how), run)
    started_s = time.perf_counter()
    mirror.follow(log, run.name)
    passed_s = time.perf_counter() - started_s
    if mirror.timesteps != capacity:
        raise RuntimeError(f"the mirror holds {mirror.timesteps} timesteps, needed {capacity}")
    return mirror, capacity / passed_s
