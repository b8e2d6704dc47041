"""How much memory a process may still take."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from agents.replay.ring import Ring
from agents.replay.room import available_bytes


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=8_000))


def told(folder: Path, groups: dict[str, dict[str, str]], proc: str) -> int:
    """What is available where the groups' files and /proc/self/cgroup say this."""
    mounted = folder / "mounted"
    for group, files in groups.items():
        (mounted / group).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (mounted / group / name).write_text(text)
    (folder / "proc").write_text(proc)
    return available_bytes(folder / "proc", mounted)


def test_without_a_limit_the_machine_s_memory_counts(tmp_path: Path) -> None:
    assert available_bytes(tmp_path / "none", tmp_path) == 8_000
    assert told(tmp_path, {"a": {"memory.max": "max\n", "memory.current": "5\n"}}, "0::/a\n") == 8_000
    first = {"memory/b": {"memory.limit_in_bytes": str(2**63 - 4096), "memory.usage_in_bytes": "5"}}
    assert told(tmp_path, first, "3:cpu:/x\n7:memory:/b\n") == 8_000


def test_a_container_s_limit_counts_less_what_it_uses_but_not_its_cached_files(tmp_path: Path) -> None:
    files = {"memory.max": "5000\n", "memory.current": "3000\n", "memory.stat": "anon 1\ninactive_file 500\n"}
    assert told(tmp_path, {"": files}, "0::/named/by/the/host\n") == 2_500


def test_the_tightest_of_nested_groups_counts(tmp_path: Path) -> None:
    groups = {
        "job": {"memory.max": "1000", "memory.current": "900"},
        "job/step": {"memory.max": "4000", "memory.current": "100"},
    }
    assert told(tmp_path, groups, "0::/job/step\n") == 100
    assert told(tmp_path, {"job": {"memory.max": "1000", "memory.current": "1200"}}, "0::/job/step\n") == 0


def test_control_groups_of_the_first_version_count(tmp_path: Path) -> None:
    files = {
        "memory.limit_in_bytes": "6000",
        "memory.usage_in_bytes": "5000",
        "memory.stat": "inactive_file 1\ntotal_inactive_file 700\n",
    }
    assert told(tmp_path, {"memory/docker": files}, "4:memory,hugetlb:/docker\n") == 1_700


def test_a_ring_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.replay.ring.available_bytes", lambda: 1_000_000)
    with pytest.raises(MemoryError, match=r"found 0\.00 GB available; needed at most \d+ decisions"):
        Ring(100_000, 10, 3)
    assert Ring(1_000, 10, 3).capacity == 1_000
