"""A store that was away at the last update still gets that version: when it is back, or when the learner stops."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agents.checkpoints.contract import Blob, CheckpointStoreUnavailable, Version
from agents.checkpoints.memory import MemoryCheckpoints
from agents.config import RunConfig
from agents.replay.contract import Replay
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Run
from agents.training import train_run
from tests.runs import RUN, explore, open_run, quiet_telemetry, small_config


@pytest.fixture
def replay() -> MemoryReplay:
    return MemoryReplay()


def test_what_the_store_missed_it_gets_when_it_is_back_though_nothing_more_is_learned(
    replay: MemoryReplay, tmp_path: Path
) -> None:
    config, run = with_few_updates_to_make(replay)
    store, ends = Away(), time.monotonic() + 30

    def stop() -> bool:
        assert time.monotonic() < ends, "what did not arrive was not tried again"
        return store.latest(RUN) is not None

    learner = train_run(run, config, replay, store, quiet_telemetry(tmp_path), stop)
    latest = store.latest(RUN)
    assert latest is not None
    assert latest.metadata["updates"] == learner.updates


def test_at_the_end_it_is_published_what_the_store_missed_last(replay: MemoryReplay, tmp_path: Path) -> None:
    config, run = with_few_updates_to_make(replay)
    store, ends = Away(), time.monotonic() + 30

    def stop() -> bool:
        assert time.monotonic() < ends, "what did not arrive was not tried again"
        return not store.away

    learner = train_run(run, config, replay, store, quiet_telemetry(tmp_path), stop)
    latest = store.latest(RUN)
    assert latest is not None
    assert latest.metadata["updates"] == learner.updates


def with_few_updates_to_make(replay: Replay) -> tuple[RunConfig, Run]:
    """A run whose workers collect no more, and of which the limiter lets a learner make some dozens of updates."""
    config = small_config(publish_seconds=0.2, publish_updates=None)
    config = dataclasses.replace(config, replay=dataclasses.replace(config.replay, samples_per_timestep=4.0))
    run = open_run(replay, config)
    explore(replay, config, run, 400)
    return config, run


class Away(MemoryCheckpoints):
    """A store that is away until it was twice offered the same: then the learner learns nothing more."""

    away = True
    offered = -1

    def publish(
        self, run: str, policy: Blob, learner: Blob, metadata: Mapping[str, Any], *, term: int | None = None
    ) -> Version:
        if not self.away:
            return super().publish(run, policy, learner, metadata, term=term)
        self.away, self.offered = metadata["updates"] != self.offered, metadata["updates"]
        raise CheckpointStoreUnavailable("away")
