"""How fast timesteps become durable: the log's way, a worker's, and beside them the original's."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from agents.replay.mongo import MongoReplay
from agents.replay.runs import EpisodeStart, Run
from infra.bench.replay.data import TIMESTEPS, Source, run_of_bench
from infra.bench.replay.peers.original import ORIGINAL, Original
from infra.bench.replay.rows import Bar, Row, row
from infra.bench.replay.sizes import Sizes
from infra.bench.replay.store import codec_of

INSERT = Bar(20_000.0, 30_000.0)
BATCH = 8
"""Episodes, 1,200 timesteps, that go to the server in one command."""


class Client:
    """Writes episodes to a run's log in bulk, timing what a client that has the numbers must do."""

    def __init__(self, log: MongoReplay, run: Run, source: Source) -> None:
        self._log, self._run, self._source = log, run.name, source
        self._codec = codec_of(run)
        self.writer = log.claim_writer(run.name, "bench")
        self.written = 0
        """Episodes."""

    def write(self, episodes: int) -> tuple[float, float]:
        """Seconds that their timesteps took, encoding included, and seconds of the episodes' own documents."""
        timesteps_s = documents_s = 0.0
        until = self.written + episodes
        while self.written < until:
            count = min(BATCH, until - self.written)
            started_s = time.perf_counter()
            self._log.insert_timesteps(self._source.rows(self._codec, self.writer, self.written, count), again=False)
            durable_s = time.perf_counter()
            for number in range(self.written, self.written + count):
                self._log.insert_episode(self._source.document(self._run, self.writer, number))
            timesteps_s += durable_s - started_s
            documents_s += time.perf_counter() - durable_s
            self.written += count
        return timesteps_s, documents_s


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Timesteps per second of one round."""

    bulk: float
    with_documents: float
    worker: float
    original: float


def inserting(log: MongoReplay, run: Run, source: Source, original: Original, sizes: Sizes) -> list[Row]:
    """Fills `run` with `sizes.stretches` stretches; after each, a worker's writer and the original get their turn."""
    client, worker = Client(log, run, source), _Worker(log, source)
    at_a_time = BATCH * TIMESTEPS
    original.insert(original.documents(source, 1), at_a_time)
    found = []
    count_original = sizes.original * TIMESTEPS
    for _ in range(sizes.stretches):
        timesteps_s, documents_s = client.write(sizes.stretch)
        count = sizes.stretch * TIMESTEPS
        found.append(
            _Stretch(
                bulk=count / timesteps_s,
                with_documents=count / (timesteps_s + documents_s),
                worker=sizes.worker * TIMESTEPS / worker.write(sizes.worker),
                original=count_original / original.insert(original.documents(source, sizes.original), at_a_time),
            )
        )
    peer = ORIGINAL, _sustained([one.original for one in found])
    bulk, worked = [one.bulk for one in found], [one.worker for one in found]
    written = sizes.stretches * sizes.stretch * TIMESTEPS
    return [
        row(
            f"durable insert, {at_a_time:,} at a time",
            _sustained(bulk),
            "timesteps/s",
            peer=peer,
            bar=INSERT,
            slowest_stretch=min(bulk),
            with_episodes=_sustained([one.with_documents for one in found]),
            timesteps=written,
        ),
        row(
            "durable insert, as a worker writes",
            _sustained(worked),
            "timesteps/s",
            peer=peer,
            slowest_stretch=min(worked),
            with_episodes=_sustained(worked),
            timesteps=sizes.stretches * sizes.worker * TIMESTEPS,
        ),
    ]


class _Worker:
    """One timestep at a time, through the guards, and each episode's document: what `agents rollout` does."""

    def __init__(self, log: MongoReplay, source: Source) -> None:
        run = log.open_run(run_of_bench("worker"))
        self._writer, self._source = log.writer(run.name, "bench"), source

    def write(self, episodes: int) -> float:
        """Seconds."""
        prepared = [list(self._source.timesteps(number)) for number in range(episodes)]
        started_s = time.perf_counter()
        for number, (first, *others) in enumerate(prepared):
            self._writer.begin(EpisodeStart(seed=1, policy_version=1), first)
            for timestep in others:
                self._writer.add(timestep)
            self._writer.end(**self._source.ending(number))
        return time.perf_counter() - started_s


def _sustained(rates: list[float]) -> float:
    """Over all stretches, which are equally long: their harmonic mean."""
    return len(rates) / float(np.sum(1.0 / np.asarray(rates)))
