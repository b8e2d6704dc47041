"""A machine that will not do is told so in one sentence, before anything is installed or started."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra import bootstrap, preflight

ROOT = Path(__file__).resolve().parents[2]
BEFORE_THE_INSTALLATION = ("infra/__init__.py", "infra/preflight.py", "infra/bootstrap.py")


@pytest.mark.parametrize("version", [(3, 6, 9), (3, 10, 12), (3, 14, 0)])
def test_an_unfit_python_is_named_with_what_to_do(version: tuple[int, ...]) -> None:
    problem = preflight.check_python(version)
    assert problem is not None
    assert ".".join(map(str, version)) in problem
    assert "make run PYTHON=" in problem


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 3), (3, 13, 9)])
def test_fitting_pythons_pass(version: tuple[int, ...]) -> None:
    assert preflight.check_python(version) is None


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "aarch64"), ("win32", "AMD64")])
def test_machines_without_opensim_are_refused(system: str, machine: str) -> None:
    problem = preflight.check_platform(system, machine)
    assert problem is not None
    assert machine in problem


def test_linux_on_x86_64_passes() -> None:
    assert preflight.check_platform("linux", "x86_64") is None


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_python_without_venv_names_the_package(missing: str) -> None:
    problem = preflight.check_venv(lambda name: name != missing)
    assert problem is not None
    assert missing in problem
    assert f"python{sys.version_info[0]}.{sys.version_info[1]}-venv" in problem
    assert preflight.check_venv(lambda name: True) is None


def test_a_full_disk_is_told_with_both_figures(tmp_path: Path) -> None:
    problem = preflight.check_disk(
        str(tmp_path / "not" / "yet"), 6.0, "the packages", "DATA_DIR", free_bytes=3_210_000_000
    )
    assert problem is not None
    assert "3.2 GB" in problem
    assert "6 GB are needed" in problem
    assert "DATA_DIR" in problem
    assert preflight.check_disk(str(tmp_path), 6.0, "the packages", "DATA_DIR", free_bytes=6_000_000_000) is None


def test_the_real_disk_is_asked(tmp_path: Path) -> None:
    assert preflight.check_disk(str(tmp_path / "not" / "yet"), 0.0, "x", "X") is None
    assert preflight.check_disk(str(tmp_path), 1e9, "x", "X") is not None


def test_a_folder_that_refuses_files_is_named() -> None:
    problem = preflight.check_writable("/proc/nothing/here", "DATA_DIR")
    assert problem is not None
    assert "/proc" in problem
    assert "DATA_DIR" in problem


def test_a_writable_folder_is_left_as_it_was(tmp_path: Path) -> None:
    assert preflight.check_writable(str(tmp_path / "new"), "DATA_DIR") is None
    assert list(tmp_path.iterdir()) == []


def test_an_unfit_place_for_the_data_is_refused() -> None:
    os.environ["DATA_DIR"] = "/proc/nothing"
    with pytest.raises(preflight.Unfit, match="/proc"):
        preflight.check_machine()


@pytest.mark.parametrize("path", BEFORE_THE_INSTALLATION)
def test_what_runs_first_parses_on_old_pythons(path: str) -> None:
    assert ast.parse((ROOT / path).read_text(), feature_version=(3, 6)).body


@pytest.mark.parametrize("path", BEFORE_THE_INSTALLATION)
def test_what_runs_first_needs_the_standard_library_only(path: str) -> None:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            assert name.split(".")[0] in {*sys.stdlib_module_names, "infra"}, name


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository as far as the set-up needs it."""
    (tmp_path / "infra").mkdir()
    for path in (*BEFORE_THE_INSTALLATION, "Pipfile"):
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def set_up(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.bootstrap"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_finished_installation_is_left_alone_until_the_pipfile_changes(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / ".venv" / "bin").mkdir(parents=True)
    (copy / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (copy / ".venv" / ".installed").write_text(bootstrap.wanted_stamp() + "\n")
    done = set_up(copy)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    monkeypatch.setattr(bootstrap, "ROOT", str(copy))
    monkeypatch.setattr(bootstrap, "VENV", str(copy / ".venv"))
    monkeypatch.setattr(bootstrap, "STAMP", str(copy / ".venv" / ".installed"))
    assert bootstrap.is_installed()
    with (copy / "Pipfile").open("a") as file:
        file.write("# changed\n")
    assert not bootstrap.is_installed()


@pytest.mark.slow
def test_a_failed_installation_shows_the_end_of_its_log_and_is_redone(copy: Path) -> None:
    for _ in range(2):
        failed = set_up(copy, PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_CONFIG_FILE=os.devnull)
        assert failed.returncode == 1
        assert "set-up: the installation failed" in failed.stderr
        assert "No matching distribution found for pipenv" in failed.stderr
        assert "Traceback" not in failed.stderr
        assert not (copy / ".venv" / ".installed").exists()


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (("MINUTES=5", "NAME=mine"), "-m infra run --minutes 5 --run mine"),
        (("ARGS=--workers 3",), "-m infra run --workers 3"),
        ((), "-m infra run"),
    ],
)
def test_make_run_passes_what_it_is_given(asked: tuple[str, ...], given: str) -> None:
    # Without what a make that runs these tests tells its children, its own variables among them.
    told = ("MAKE", "MFLAGS", "ARGS", "MINUTES", "NAME")
    outside = {name: value for name, value in os.environ.items() if not name.startswith(told)}
    shown = subprocess.run(
        ["make", "-n", "run", *asked], cwd=ROOT, env=outside, capture_output=True, text=True, check=True
    ).stdout
    commands = [line for line in shown.splitlines() if "-m infra run" in line]
    assert [command.split("python ", 1)[1].split() for command in commands] == [given.split()]
