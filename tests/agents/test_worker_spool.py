"""A worker and its spool: where it lies, what a stop leaves in it, and what an explorer counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from agents.config import RunConfig
from agents.lives import spool_folder
from agents.replay.runs import Run
from agents.worker import Collected, Rollouts
from tests.agents.spools import Away, files
from tests.runs import RUN, fake_environment, open_run, quiet_telemetry, small_config


@pytest.fixture
def log() -> Iterator[Away]:
    store = Away()
    yield store
    store.back.set()


@pytest.fixture
def config() -> RunConfig:
    return small_config()


@pytest.fixture
def run(log: Away, config: RunConfig) -> Run:
    return open_run(log, config)


def rollouts(run: Run, config: RunConfig, log: Away, folder: Path) -> Rollouts:
    return Rollouts(run, config, log, None, quiet_telemetry(folder, "w"), fake_environment)


def test_every_worker_has_a_folder_of_its_own_in_the_data(tmp_path: Path) -> None:
    assert spool_folder(RUN, "worker-1") == tmp_path / "data" / "spool" / RUN / "worker-1"
    assert spool_folder(RUN, "a/../b").parent == tmp_path / "data" / "spool" / RUN


def test_a_stopped_worker_leaves_nothing_in_its_spool(run: Run, config: RunConfig, log: Away, tmp_path: Path) -> None:
    work = rollouts(run, config, log, tmp_path)
    work.work(0, 1, lambda: False, lambda: work.episodes >= 3)
    folder = spool_folder(RUN, "w")
    assert folder.is_dir()
    assert files(folder) == []
    assert log.counts(RUN).episodes == 3
    assert log.events(RUN)[-1]["kind"] == "worker_stopped"


def test_a_worker_stops_while_the_store_is_away_and_the_next_start_sends_the_rest(
    run: Run, config: RunConfig, log: Away, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = rollouts(run, config, log, tmp_path)

    def go_away() -> bool:
        log.back.clear()
        return work.episodes >= 3

    with monkeypatch.context() as hasty:
        hasty.setattr("agents.worker._LAST_WORDS_S", 0.0)
        hasty.setattr("agents.worker._SETTLE_S", 0.0)
        work.work(0, 1, lambda: False, go_away)
    assert log.counts(RUN).episodes == 0
    assert files(spool_folder(RUN, "w")) != []
    log.back.set()
    with FileLock(spool_folder(RUN, "w") / "lock", timeout=60.0):
        pass  # in a process of its own the first worker would be gone
    rollouts(run, config, log, tmp_path).work(0, 1, lambda: True)
    assert log.counts(RUN).episodes == 3
    assert log.counts(RUN).aborted == 0
    assert len(log.events(RUN, "worker_stopped")) == 2


def test_an_explorer_counts_the_episode_that_it_has_just_played(
    run: Run, config: RunConfig, log: Away, tmp_path: Path
) -> None:
    collected = Collected(log, RUN)
    counts: list[tuple[int, int]] = []
    work = rollouts(run, config, log, tmp_path)

    def enough() -> bool:
        counts.append((collected(), work._timesteps))
        return work.episodes >= 4

    work.work(0, 1, lambda: False, enough)
    assert len(counts) >= 5
    assert all(in_log == played for in_log, played in counts)
