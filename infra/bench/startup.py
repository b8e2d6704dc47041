"""How long a simulator takes from a process's start to its first state, and what the very first compilation takes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_START = """
from environment.config import EnvironmentConfig
from environment.physics.build import build_physics
build_physics(EnvironmentConfig(physics={physics!r})).reset()
"""
_START_MANY = """
from environment.osim_file import read_model
from environment.physics.models import model_path
from environment.physics.native.engine import Engine
from environment.physics.native.settings import NativeSettings
engine = Engine(read_model(model_path("3D_pros")), NativeSettings(), 8)
engine.start()
"""


def startup() -> list[dict[str, Any]]:
    """Rows in seconds of wall time, each beside OpenSim's start."""
    opensim_s = _seconds(_START.format(physics="opensim"), {})
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        cache = {"NUMBA_CACHE_DIR": folder}
        for name, code in (("one body", _START.format(physics="native")), ("eight bodies at once", _START_MANY)):
            rows.append(_row(f"native, {name}: first start on a machine", _seconds(code, cache), opensim_s))
            rows.append(_row(f"native, {name}: every later start", _seconds(code, cache), opensim_s))
    return rows


def _seconds(code: str, variables: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=_ROOT, env=os.environ | variables, check=True)
    return time.perf_counter() - started


def _row(name: str, seconds: float, peer_seconds: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": seconds,
        "unit": "s",
        "peer": "opensim's start",
        "peer_value": peer_seconds,
        "ratio": seconds / peer_seconds,
        "peer_s": peer_seconds,
    }
