"""OpenSim's libraries call their own code, not the copies in its Python wrapper."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = "import environment.physics.opensim as ours; opensim = ours.opensim"
AS_SHIPPED = "import opensim; opensim.Logger.setLevelString('off')"
USE = """
from environment.physics.models import model_path
model = opensim.Model(str(model_path("3D_pros")))
state = model.initSystem()
model.realizeAcceleration(state)
print(sum(abs(value) for value in state.getYDot().to_numpy().tolist()).hex())
"""
_INTO_WRAPPER = re.compile(
    r"binding file \S*/lib(?:SimTK\w+|osimCommon|osimSimulation|osimActuators)\.so\S* .* to \S*/_\w+\.so "
)

pytestmark = [
    pytest.mark.opensim,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="libraries are bound by name elsewhere"),
]


def run(program: str, folder: Path) -> tuple[str, int]:
    """What it printed, and how many of the libraries' functions the linker found in a wrapper."""
    folder.mkdir()
    debug = {"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": str(folder / "linker")}
    command = [sys.executable, "-W", "ignore", "-c", program + USE]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | debug, check=True, capture_output=True, text=True)
    (said,) = folder.iterdir()
    return done.stdout, len(_INTO_WRAPPER.findall(said.read_text()))


def test_no_library_of_opensim_calls_into_its_python_wrapper(tmp_path: Path) -> None:
    shipped, into_wrapper = run(AS_SHIPPED, tmp_path / "shipped")
    assert into_wrapper > 100, "nothing to gain any more?"
    ours, left = run(OURS, tmp_path / "ours")
    assert left == 0
    assert ours == shipped


def test_after_opensim_was_imported_nothing_is_loaded() -> None:
    program = "import opensim; from environment.physics.opensim_libraries import load_libraries_first as load"
    command = [sys.executable, "-W", "ignore", "-c", program + "; print(load())"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
