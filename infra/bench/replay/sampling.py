"""How fast batches come: the mirror in turns with other buffers that hand over as many numbers per transition."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agents.replay.mirror import Mirror
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Run
from infra.bench.replay.peers.contract import Build, Draw, Shape
from infra.bench.replay.peers.known import PEERS, Peers, build
from infra.bench.replay.peers.original import Original
from infra.bench.replay.refilling import refill
from infra.bench.replay.rows import Bar, Row, row
from infra.bench.replay.sizes import Sizes
from infra.bench.replay.turns import Work, in_turns

UNIFORMLY = Bar(300_000.0, 500_000.0)
PRIORITISEDLY = Bar(250_000.0, 400_000.0)
OBSERVATIONS = ("compact", "original")
_ORIGINAL = "$sample"
"""The original's way; with the smaller batch only, for a few hundred transitions tell its rate."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A log to sample from, and the peers to measure beside it."""

    log: MongoReplay
    run: Run
    sizes: Sizes
    timesteps: int
    """In the log; the mirror holds all of them."""
    original: Original
    missing: dict[str, str]
    """Peers that could not be measured, and why."""
    builds: Mapping[str, Mapping[str, Build]] = field(default_factory=lambda: PEERS)

    def uniform(self) -> list[Row]:
        """Every observation, both sizes of float, every batch."""
        return [one for seen in OBSERVATIONS for one in self._uniform(seen)]

    def prioritised(self) -> list[Row]:
        """Weights and the update of the priorities included."""
        return [one for seen in OBSERVATIONS for one in self._prioritised(seen)]

    def others(self) -> list[Row]:
        """The ways to sample that no peer has."""
        names = {sampling: f"{sampling}, compact, float32" for sampling in ("recency", "policy_age")}
        ours = {name: self._mirror(sampling=sampling) for sampling, name in names.items()}
        rows = []
        for batch in self.sizes.batches:
            works = {name: draws(mirror, batch) for name, mirror in ours.items()}
            rows += self._rows(works, Peers({}), batch, [], {}, None)
        return rows

    def _uniform(self, seen: str) -> list[Row]:
        ours = {
            f"uniform, {seen}, {floats}": self._mirror(observation=seen, floats=floats)
            for floats in ("float32", "float16")
        }
        peers = self._peers("uniform", next(iter(ours.values())))
        columns, rows = [*self.builds["uniform"], _ORIGINAL], []
        for batch in self.sizes.batches:
            works = {name: draws(mirror, batch) for name, mirror in ours.items()}
            few = batch == min(self.sizes.batches)
            extra = {_ORIGINAL: functools.partial(self._original, seen, batch)} if few else {}
            rows += self._rows(works, peers, batch, columns, extra, UNIFORMLY)
        return rows

    def _prioritised(self, seen: str) -> list[Row]:
        mirror = self._mirror(observation=seen, sampling="prioritised")
        peers = self._peers("prioritised", mirror)
        columns, rows = list(self.builds["prioritised"]), []
        for batch in self.sizes.batches:
            works = {f"prioritised, {seen}, float32": draws(mirror, batch, learned=True)}
            rows += self._rows(works, peers, batch, columns, {}, PRIORITISEDLY)
        return rows

    def _mirror(self, **how: str) -> Mirror:
        return refill(self.log, self.run, self.timesteps, **how)[0]

    def _peers(self, sampling: str, mirror: Mirror) -> Peers:
        batch = mirror.sample(1, np.random.default_rng(0))
        sizes = batch.observation.shape[1], batch.action.shape[1]
        shape = Shape.within(self.sizes.peer_bytes, *sizes, most=self.timesteps)
        peers = build(self.builds[sampling], shape)
        self.missing.update({f"{name}'s {sampling} buffer": why for name, why in peers.missing.items()})
        return peers

    def _original(self, observation: str, batch: int) -> int:
        self.original.sample(observation, batch)
        return batch

    def _rows(
        self,
        works: Mapping[str, Work],
        peers: Peers,
        batch: int,
        columns: Sequence[str],
        extra: Mapping[str, Work],
        bar: Bar | None,
    ) -> list[Row]:
        """Each of `works` beside the fastest of the peers; `columns` are those that have one of their own."""
        theirs = {name: functools.partial(_batch, draw, batch) for name, draw in peers.draws.items()} | dict(extra)
        found = in_turns({**works, **theirs}, self.sizes.rounds, self.sizes.turn_s)
        rates: dict[str, Any] = {name: found[name].per_s if name in theirs else None for name in columns}
        fastest = max(theirs, key=lambda name: found[name].per_s, default=None)
        return [
            row(
                f"{name}, batch {batch:,}",
                found[name].per_s,
                "transitions/s",
                peer=("the fastest peer", found[fastest].per_s) if fastest else None,
                bar=bar,
                per_processor_s=found[name].per_processor_s,
                **({"fastest": fastest} if columns else {}),
                **rates,
            )
            for name in works
        ]


def draws(mirror: Mirror, batch: int, *, learned: bool = False) -> Work:
    """A batch of the mirror, and with `learned` what the critic made of it."""
    generator = np.random.default_rng(3)

    def work() -> int:
        drawn = mirror.sample(batch, generator)
        if learned and drawn.number is not None:
            mirror.learned(drawn.number, generator.random(batch, dtype=np.float32))
        return batch

    return work


def _batch(draw: Draw, batch: int) -> int:
    draw(batch)
    return batch
