"""A mirror that is fed while it is used: how soon an episode can be sampled, and what the feeding costs the sampler."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.learner import Feeder
from agents.replay.mirror import Mirror
from agents.replay.runs import Run
from infra.bench.replay.arrivals import Arrivals
from infra.bench.replay.data import STEPS, TIMESTEPS, Source
from infra.bench.replay.rows import Bar, Row, row
from infra.bench.replay.sizes import Sizes
from infra.bench.replay.store import Store
from infra.bench.replay.turns import rate

LATENCY_MS = {50: Bar(25.0, 15.0, smaller_is_better=True), 95: Bar(50.0, 20.0, smaller_is_better=True)}
"""By percentile."""
LIVE_PERCENT = Bar(80.0, 95.0)
EPISODES_PER_S = 10.0
ARRIVING_PER_S = 3_000.0
"""Timesteps, while the sampler is measured."""
_WARM_UP = 10
"""Episodes, the writer's first ones."""
_LOOK_S = 0.0002
_SETTLE_S = 0.3
"""After the writer was told to go or to pause."""


@dataclass(frozen=True, slots=True)
class Live:
    """A mirror that holds all of a run's log, and who writes to it."""

    store: Store
    run: Run
    source: Source
    mirror: Mirror
    sizes: Sizes

    def latency(self) -> list[Row]:
        """Milliseconds from the start of an episode's insert until the mirror has it."""
        with self._arriving(EPISODES_PER_S) as (arrivals, feeder):
            before, wanted = self.mirror.taken_steps, _WARM_UP + self.sizes.latency_episodes
            seen_s: list[float] = []
            arrivals.go()
            while len(seen_s) < wanted:
                if self.mirror.taken_steps >= before + STEPS * (len(seen_s) + 1):
                    seen_s.append(time.monotonic())
                    continue
                feeder.check()
                arrivals.check()
                time.sleep(_LOOK_S)
            started_s = arrivals.end()
        passed_ms = latencies_ms(started_s, seen_s)[_WARM_UP:]
        return [
            row(
                f"insert to sampleable, {percentile}th percentile",
                float(np.percentile(passed_ms, percentile)),
                "ms",
                bar=bar,
                episodes=len(passed_ms),
                largest_ms=float(passed_ms.max()),
            )
            for percentile, bar in LATENCY_MS.items()
        ]

    def while_arriving(self) -> list[Row]:
        """Sampling while timesteps come in, as a share of what it is in turns with it while none do."""
        with self._arriving(ARRIVING_PER_S / TIMESTEPS) as (arrivals, feeder):
            return [self._share(batch, arrivals, feeder) for batch in self.sizes.batches]

    def _share(self, batch: int, arrivals: Arrivals, feeder: Feeder) -> Row:
        turn_s = self.sizes.live_turn_s
        work = functools.partial(_draw, self.mirror, batch, np.random.default_rng(4))
        idle, busy, arrived = [], [], []
        for _ in range(self.sizes.live_rounds):
            idle.append(rate(work, turn_s).per_s)
            arrivals.go()
            time.sleep(_SETTLE_S)
            before, started_s = self.mirror.taken_steps, time.monotonic()
            busy.append(rate(work, turn_s).per_s)
            taken = (self.mirror.taken_steps - before) * TIMESTEPS / STEPS
            arrived.append(taken / (time.monotonic() - started_s))
            arrivals.pause()
            time.sleep(_SETTLE_S)
            feeder.check()
            arrivals.check()
        return row(
            f"uniform, compact, float32, batch {batch:,}: while {ARRIVING_PER_S:,.0f} timesteps/s arrive",
            100 * float(np.median(np.array(busy) / np.array(idle))),
            "% of idle",
            peer=("the same when nothing arrives", 100.0),
            bar=LIVE_PERCENT,
            transitions_per_s=float(np.median(busy)),
            idle_per_s=float(np.median(idle)),
            arrived_per_s=float(np.median(arrived)),
        )

    @contextmanager
    def _arriving(self, episodes_per_s: float) -> Iterator[tuple[Arrivals, Feeder]]:
        """A writer, still paused, and the learner's own thread that follows it."""
        log = self.store.open()
        feeder = Feeder(self.mirror, log, self.run.name)
        feeder.start()
        try:
            with Arrivals(self.store, self.run.name, self.source, episodes_per_s) as arrivals:
                yield arrivals, feeder
        finally:
            feeder.end()
            log.close()


def latencies_ms(started_s: Sequence[float], seen_s: Sequence[float]) -> NDArray[np.float64]:
    """Of the episodes that were seen; some that were started later may not have been."""
    passed_ms: NDArray[np.float64] = 1e3 * (np.array(seen_s) - np.array(started_s[: len(seen_s)]))
    return passed_ms


def _draw(mirror: Mirror, batch: int, generator: np.random.Generator) -> int:
    mirror.sample(batch, generator)
    return batch
