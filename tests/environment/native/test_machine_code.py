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


def test_the_folder_is_named_after_the_sources_wherever_they_lie(sources: Path) -> None:
    before = home._folder()
    assert before.parent == sources / "__pycache__"
    assert before.is_dir()
    assert before.name == home._folder().name
    (sources / "notes.txt").write_text("no source")
    assert home._folder() == before
    for file in ("lanes.py", "compilation/paths.py", "entry/one.py"):
        old = (sources / file).read_text()
        (sources / file).write_text(old + "\n")
        assert home._folder() != before, file
        (sources / file).write_text(old)
    assert home._folder() == before


def test_numba_s_own_variable_says_where(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tmp_path / "a" / "b"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(asked))
    assert home._folder().parent == asked
    assert not (sources / "__pycache__").exists()


def test_a_checkout_that_can_not_be_written_uses_the_user_s_cache(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file in the way is refused to everybody, the superuser included.
    (sources / "__pycache__").write_text("in the way")
    assert home._folder().parent == tmp_path / "home" / ".cache" / "prosthetics-replay"


def test_nowhere_to_write_is_said_with_the_places_and_the_cure(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sources / "__pycache__").write_text("in the way")
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(OSError, match="no place to keep machine code") as caught:
        home._folder()
    for part in (str(sources / "__pycache__"), str(tmp_path / "home"), "set NUMBA_CACHE_DIR"):
        assert part in str(caught.value)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "home" / "asked"))
    with pytest.raises(OSError, match=r"home/asked can not be written"):
        home._folder()


def test_code_of_earlier_sources_is_removed(sources: Path) -> None:
    folder = home._folder()
    old, other = folder.parent / "machine-code-0123456789abcdef", folder.parent / "something-else"
    for one in (old, other):
        one.mkdir()
        (one / "file").write_text("x")
    home._remove_outdated(folder)
    assert folder.is_dir()
    assert other.is_dir()
    assert not old.exists()


def test_code_in_other_places_may_be_another_checkout_s_and_stays(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "shared"))
    folder = home._folder()
    others = [
        folder.parent / "machine-code-0123456789abcdef",
        sources / "__pycache__" / "machine-code-0123456789abcdef",
    ]
    for other in others:
        other.mkdir(parents=True)
    home._remove_outdated(folder)
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
