"""Machine code is compiled once per machine and sources, and kept where it may be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from environment.physics.native import machine_code as home
from environment.physics.native.machine_code import machine_code

ROOT = Path(__file__).resolve().parents[3]
REPORT = """
from environment.physics.native.machine_code import machine_code
stats = machine_code("settle").settle.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""
NOTHING_CAN_BE_WRITTEN = """
import os
access = os.access
os.access = lambda path, mode: mode != os.W_OK and access(path, mode)
"""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sources, whose own place to keep machine code is in it."""
    copy = tmp_path / "native"
    shutil.copytree(home._SOURCES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(home, "_SOURCES", copy)
    monkeypatch.setattr(home, "_OWN", copy / "__pycache__")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    return copy


def folder() -> Path:
    with home._folder() as found:
        return found


@pytest.fixture
def read_only(sources: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Machine code in the checkout, which can not be written any more: not even by the superuser, who runs tests."""
    ready = folder()
    (ready / "entry_0").mkdir()
    (ready / "entry_0" / "one.nbi").write_text("code")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: access(path, mode) and not (path == ready and mode == os.W_OK))
    return ready


def test_the_folder_is_named_after_the_sources_wherever_they_lie(sources: Path) -> None:
    before = folder()
    assert before.parent == sources / "__pycache__"
    assert before.is_dir()
    assert before.name == folder().name
    (sources / "notes.txt").write_text("no source")
    assert folder() == before
    for file in ("lanes.py", "compilation/paths.py", "entry/one.py"):
        old = (sources / file).read_text()
        (sources / file).write_text(old + "\n")
        assert folder() != before, file
        (sources / file).write_text(old)
    assert folder() == before


def test_numba_s_own_variable_says_where(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tmp_path / "a" / "b"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(asked))
    assert folder().parent == asked
    assert not (sources / "__pycache__").exists()


def test_a_checkout_that_can_not_be_written_uses_the_user_s_cache(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file in the way is refused to everybody, the superuser included.
    (sources / "__pycache__").write_text("in the way")
    assert folder().parent == tmp_path / "home" / ".cache" / "prosthetics-replay"


def test_nowhere_to_write_is_said_with_the_places_and_the_cure(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sources / "__pycache__").write_text("in the way")
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(OSError, match="no place to keep machine code") as caught:
        folder()
    for part in (str(sources / "__pycache__"), str(tmp_path / "home"), "set NUMBA_CACHE_DIR"):
        assert part in str(caught.value)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "home" / "asked"))
    with pytest.raises(OSError, match=r"home/asked can not be written"):
        folder()


def test_code_that_can_only_be_read_is_copied_to_where_it_can_be_written(read_only: Path, tmp_path: Path) -> None:
    (read_only / "entry_0").chmod(0o555)
    (read_only / "entry_0" / "one.nbi").chmod(0o444)
    found = folder()
    assert found.parent == tmp_path / "home" / ".cache" / "prosthetics-replay"
    copy = found / "entry_0" / "one.nbi"
    assert copy.read_text() == "code"
    assert [path.stat().st_mode & 0o200 for path in (copy, copy.parent)] == [0o200, 0o200]
    copy.write_text("newer code")
    assert (folder() / "entry_0" / "one.nbi").read_text() == "newer code"


def test_where_nothing_can_be_written_code_that_can_be_read_serves_all_the_same(
    read_only: Path, tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("in the way")
    with home._folder() as found:
        assert found != read_only
        assert (found / "entry_0" / "one.nbi").read_text() == "code"
    assert not found.exists(), "the code is in memory by then"


def test_code_of_earlier_sources_is_removed(sources: Path) -> None:
    mine = folder()
    old, other = mine.parent / "machine-code-0123456789abcdef", mine.parent / "something-else"
    for one in (old, other):
        one.mkdir()
        (one / "file").write_text("x")
    home._remove_outdated(mine)
    assert mine.is_dir()
    assert other.is_dir()
    assert not old.exists()


def test_code_in_other_places_may_be_another_checkout_s_and_stays(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "shared"))
    mine = folder()
    others = [
        mine.parent / "machine-code-0123456789abcdef",
        sources / "__pycache__" / "machine-code-0123456789abcdef",
    ]
    for other in others:
        other.mkdir(parents=True)
    home._remove_outdated(mine)
    assert all(other.is_dir() for other in others)


def cache_dir() -> str:
    return str(numba.config.CACHE_DIR)


def test_numba_s_setting_is_as_before_and_a_module_is_loaded_once() -> None:
    before = cache_dir()
    assert machine_code("one") is machine_code("one")
    assert cache_dir() == before


def test_a_module_that_is_not_there_is_an_error_and_leaves_numba_s_setting() -> None:
    before = cache_dir()
    with pytest.raises(ModuleNotFoundError, match=r"entry\.sixteen"):
        machine_code("sixteen")
    assert cache_dir() == before


def test_numba_that_may_not_compile_is_named_with_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.raises(RuntimeError, match=r"NUMBA_DISABLE_JIT forbids .* unset it, or .* physics='opensim'"):
        machine_code.__wrapped__("settle")


def start(**variables: str) -> subprocess.Popen[str]:
    """A process that loads the machine code and says how often it found it and how often it had to compile it."""
    environment = {**os.environ, **variables}
    return subprocess.Popen(
        [sys.executable, "-c", REPORT], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )


def answers(*processes: subprocess.Popen[str]) -> list[str]:
    found = [process.communicate(timeout=280)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return sorted(found)


def test_a_later_start_compiles_nothing() -> None:
    machine_code("settle")
    assert answers(start()) == ["1 0"]


def test_a_start_where_code_can_only_be_read_compiles_nothing() -> None:
    machine_code("settle")
    found = subprocess.run(
        [sys.executable, "-c", NOTHING_CAN_BE_WRITTEN + REPORT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "1 0"


@pytest.mark.slow
def test_of_several_that_start_at_once_without_any_code_one_compiles(tmp_path: Path) -> None:
    found = answers(*(start(NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(4)))
    assert found == ["0 1", "1 0", "1 0", "1 0"]
    folders = [one for one in tmp_path.iterdir() if one.is_dir()]
    assert len(folders) == 1
    assert folders[0].name.startswith("machine-code-")
    assert list(folders[0].rglob("*.nbc"))


@pytest.mark.slow
def test_damaged_machine_code_is_compiled_again(tmp_path: Path) -> None:
    code = "from environment.physics.native.machine_code import machine_code as m; print(m('settle').settle)"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}

    def start() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, text=True, capture_output=True, check=False)

    assert not start().returncode
    for kind in ("nbi", "nbc"):
        (file,) = tmp_path.rglob(f"*.{kind}")
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        again = start()
        assert not again.returncode, again.stderr
        assert "is damaged" in again.stderr
        assert "is damaged" not in start().stderr
