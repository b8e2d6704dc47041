"""What holds for every test of the agents."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def spools_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker inside a test keeps its spool where the test is, not beside the developer's data."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
