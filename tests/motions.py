"""Small motions of the project's own: a body that is simulated, and its states as the files that people have."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.physics.models import model_path
from environment.physics.native.physics import NativePhysics
from environment.state import StateLayout

MODEL = model_path("3D_pros")
Columns = Mapping[str, NDArray[np.float64]]


@cache
def simulated(steps: int = 24) -> tuple[StateLayout, NDArray[np.float64]]:
    """The layout, and (steps + 1, S) states at 100 Hz of a pushed body whose muscles are excited at random."""
    physics, generator = NativePhysics(MODEL), np.random.default_rng(4)
    start = physics.reset()
    start[physics.layout.index["joint_vel/ground_pelvis/pelvis_tx"]] = 1.0
    excitation = generator.random(19)
    states = [physics.start_at(start), *(physics.step(excitation) for _ in range(steps))]
    return physics.layout, np.stack(states)


def columns(style: str = "plain", leaves: str = "vsaf") -> dict[str, NDArray[np.float64]]:
    """Column name -> values of that motion, in one of the ways that files call them.

    Args:
        leaves: Of v(alues), s(peeds), a(ctivations), f(ibre lengths) those that are there.
    """
    layout, states = simulated()
    found: dict[str, NDArray[np.float64]] = {}
    for name, column in zip(layout.names, states.T, strict=True):
        branch, *path = name.split("/")
        if branch in ("joint_pos", "joint_vel"):
            leaf = "v" if branch == "joint_pos" else "s"
            joint, coordinate = path
            long = {"v": "value", "s": "speed"}[leaf]
            call = {
                "plain": coordinate + ("" if leaf == "v" else "_speed"),
                "opensim": f"/jointset/{joint}/{coordinate}/{long}",
                "older": f"{joint}/{coordinate}/{long}",
                "ours": name,
            }[style]
        elif branch == "muscles" and path[1] in ("activation", "fiber_length"):
            leaf = path[1][0]
            muscle, state = path
            call = {
                "plain": f"{muscle}_{state}",
                "opensim": f"/forceset/{muscle}/{state}",
                "older": f"{muscle}.{state}",
                "ours": name,
            }[style]
        else:
            continue
        if leaf in leaves:
            found[call] = column
    return found


def times_s(rows: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = 0.01 * np.arange(rows, dtype=np.float64)
    return found


def write_csv(path: Path, found: Columns, *, times: NDArray[np.float64] | None = None, said: str = "") -> Path:
    """A .csv with a column of row numbers, as pandas writes it; `said` are lines before the names."""
    rows = np.column_stack(list(found.values()))
    times = times_s(len(rows)) if times is None else times
    lines = [",".join(("", "time", *found))]
    lines += [
        ",".join((str(number), repr(float(time)), *map(repr, row)))
        for number, (time, row) in enumerate(zip(times, rows.tolist(), strict=True))
    ]
    path.write_text(said + "\n".join(lines) + "\n")
    return path


def write_storage(path: Path, found: Columns, *, degrees: bool = False) -> Path:
    """A .sto or .mot file as OpenSim writes it."""
    rows = np.column_stack(list(found.values()))
    lines = [path.stem, "version=1", f"nRows={len(rows)}", f"nColumns={len(found) + 1}"]
    lines += [f"inDegrees={'yes' if degrees else 'no'}", "endheader", "\t".join(("time", *found))]
    lines += [
        "\t".join((repr(float(time)), *map(repr, row)))
        for time, row in zip(times_s(len(rows)), rows.tolist(), strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def in_degrees(found: Columns) -> dict[str, NDArray[Any]]:
    """The same with rotations in degrees."""
    straight = ("_tx", "_ty", "_tz")
    angles = ("pelvis", "hip", "knee", "ankle", "lumbar")
    return {
        name: np.rad2deg(values)
        if name.startswith((*angles, "/jointset")) and not any(part in name for part in straight)
        else values
        for name, values in found.items()
    }
