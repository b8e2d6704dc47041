"""The learner's half without the learning: the real mirror, its feeder, and a thread that samples all the while."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np

from agents.config import RunConfig
from agents.learner import Feeder
from agents.memory import build_derivation
from agents.replay.contract import Replay
from agents.replay.mirror import Mirror
from agents.replay.mongo import MongoReplay
from agents.replay.ring import Integers, Ring
from agents.replay.runs import Run
from agents.replay.sampling import build_sampler
from infra.faults.crew import wait_until

_BATCH = 256
_REST_S = 0.005
"""Between two batches, to leave the processor to the workers."""
STREAM_LOG = "agents.replay.stream"


class GatedMirror(Mirror):
    """Its reader can be kept from looking at the log, as one is that is busy with something long."""

    def __init__(self, ring: Ring, config: RunConfig, run: Run) -> None:
        sampling = config.replay.sampling
        super().__init__(ring, build_derivation(config, run), build_sampler(sampling.name, sampling.settings, ring))
        self.ring = ring
        self.gate = threading.Event()
        self.gate.set()

    def follow(self, replay: Replay, run: str) -> int:
        self.gate.wait()
        return super().follow(replay, run)


def empty_mirror(config: RunConfig, run: Run) -> GatedMirror:
    """As `agents.memory` builds it for the run, its columns open to comparisons."""
    derive, replay = build_derivation(config, run), config.replay
    ring = Ring(replay.capacity_timesteps, derive.observation_size, derive.action_size, replay.mirror_floats)
    return GatedMirror(ring, config, run)


class _Ears(logging.Handler):
    """Keeps what is said."""

    def __init__(self, heard: list[str]) -> None:
        super().__init__()
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.append(record.getMessage())


class Reader:
    """Follows a log from entering it to leaving it."""

    def __init__(self, uri: str, database: str, run: Run, config: RunConfig) -> None:
        self._log = MongoReplay(uri, database)
        self.mirror = empty_mirror(config, run)
        self._run = run.name
        self._feeder = Feeder(self.mirror, self._log, run.name)
        self.sampled = 0
        """Batches so far."""
        self.stream_failures: list[str] = []
        """What the log of the change stream said."""
        self._ears = _Ears(self.stream_failures)
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._sampling = threading.Thread(target=self._sample, name="sampling", daemon=True)

    def __enter__(self) -> Self:
        logging.getLogger(STREAM_LOG).addHandler(self._ears)
        self._feeder.start()
        self._sampling.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self.mirror.gate.set()
        self._log.close()
        self._sampling.join()
        self._feeder.end()
        logging.getLogger(STREAM_LOG).removeHandler(self._ears)

    def look_away(self) -> None:
        """It does not read until `look_again`. What it is reading now it still takes."""
        self.mirror.gate.clear()

    def look_again(self) -> None:
        self.mirror.gate.set()

    def check(self) -> None:
        """Raises what stopped the feeding or the sampling."""
        self._feeder.check()
        if self._failure is not None:
            raise RuntimeError("sampling has failed") from self._failure

    def wait_for(self, episodes: int) -> None:
        """Until the mirror holds so many. Raises: ScenarioFailed, and what stopped it."""
        self.wait_until(lambda: len(self.mirror.episodes) >= episodes, f"the mirror held {episodes} episodes")

    def wait_until(self, done: Callable[[], bool], what: str) -> None:
        """Raises: ScenarioFailed, and what stopped the feeding or the sampling."""

        def happened() -> bool:
            self.check()
            return done()

        wait_until(happened, what)

    def _sample(self) -> None:
        generator = np.random.default_rng(1)
        try:
            while not self._ended.wait(_REST_S):
                if self.mirror.transitions:
                    self.mirror.sample(_BATCH, generator)
                    self.sampled += 1
        except BaseException as error:
            self._failure = error


def unequal_episodes(mirror: GatedMirror, fresh: GatedMirror) -> list[int]:
    """Ids of the episodes in `mirror` that `fresh` lacks, or of which any number differs."""
    ours, theirs = _places(mirror), _places(fresh)
    return [
        episode
        for episode, here in ours.items()
        if episode not in theirs or not _alike(mirror.ring, here, fresh.ring, theirs[episode])
    ]


def _places(mirror: GatedMirror) -> dict[int, Integers]:
    """Episode -> where its points lie."""
    ring = mirror.ring
    ends = ring.first + np.cumsum([held.points for held in ring.held], dtype=np.int64)
    return {
        held.episode: ring.place(np.arange(end - held.points, end))
        for held, end in zip(ring.held, ends.tolist(), strict=True)
    }


def _alike(one: Ring, here: Integers, other: Ring, there: Integers) -> bool:
    names = ("observation", "action", "reward", "discount", "hop", "policy_version")
    return len(here) == len(there) and all(
        np.array_equal(getattr(one, name)[here], getattr(other, name)[there]) for name in names
    )
