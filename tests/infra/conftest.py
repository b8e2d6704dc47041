"""What tests of summaries and live views share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.replay.memory import MemoryReplay
from infra.fleet.local import LocalFleet
from tests.runs import open_run, small_config


@pytest.fixture
def replay() -> MemoryReplay:
    """With the small run, which has no episode yet."""
    log = MemoryReplay()
    open_run(log, small_config())
    return log


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LocalFleet]:
    """Of no process yet."""
    made = LocalFleet(tmp_path, os.environ)
    yield made
    made.stop(grace_s=0.0)
