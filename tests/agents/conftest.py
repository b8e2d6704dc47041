"""What holds for every test of the agents, and a run in memory for those that need one.

A file that needs another run, or another log, has fixtures of these names itself.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.config import RunConfig
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Run
from tests.runs import open_run, small_config


@pytest.fixture(autouse=True)
def spools_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker inside a test keeps its spool where the test is, not beside the developer's data."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def replay() -> MemoryReplay:
    return MemoryReplay()


@pytest.fixture
def config() -> RunConfig:
    return small_config()


@pytest.fixture
def run(replay: MemoryReplay, config: RunConfig) -> Run:
    return open_run(replay, config)
