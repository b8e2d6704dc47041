"""Motion files as tables of named columns."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from environment.motions.motion import MotionRefused

_TIME = "time"
_STORAGES = (".sto", ".mot")


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns over time."""

    times_s: NDArray[np.float64]
    """(T,)"""
    names: tuple[str, ...]
    """(C,)"""
    values: NDArray[np.float64]
    """(T, C)"""
    in_degrees: bool
    """Rotations are in degrees."""


def read_table(path: Path) -> Table:
    """A .csv file with a column `time` in seconds, or a .sto or .mot file of OpenSim's.

    A .csv may begin with lines like `inDegrees=yes`, as those of OpenSim do; without one it is in radians.

    Raises: MotionRefused.
    """
    if not path.is_file():
        raise MotionRefused(f"motion {path}: there is no such file")
    ending = path.suffix.lower()
    if ending == ".csv":
        return _read_csv(path)
    if ending in _STORAGES:
        # Imported here: OpenSim takes a second to load.
        from environment.physics.opensim import read_storage

        try:
            times_s, names, values, in_degrees = read_storage(path)
        except RuntimeError as error:
            raise MotionRefused(f"motion {path}: OpenSim can not read it: {' '.join(str(error).split())}") from error
        return Table(times_s, names, values, in_degrees)
    raise MotionRefused(f"motion {path} ends in {ending!r}; needed .csv, {' or '.join(_STORAGES)}")


def _read_csv(path: Path) -> Table:
    try:
        lines = [line for line in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise MotionRefused(f"motion {path} is no .csv text: {error}") from error
    said: dict[str, str] = {}
    while lines and len(lines[0]) == 1 and "=" in lines[0][0]:
        name, _, value = lines.pop(0)[0].partition("=")
        said[name.strip().lower()] = value.strip().lower()
    if not lines:
        raise MotionRefused(f"motion {path} is empty; needed a line of column names, then one per moment")
    names = tuple(name.strip() for name in lines.pop(0))
    if _TIME not in names:
        raise MotionRefused(f"motion {path} has no column {_TIME!r} (s); found {', '.join(names[:8])}, …")
    values = np.array([_numbers(path, row, names, line) for row, line in enumerate(lines)]).reshape(-1, len(names))
    # A column without a name is the number of the row, as pandas writes it.
    kept = [i for i, name in enumerate(names) if name not in ("", _TIME)]
    times_s = values[:, names.index(_TIME)].copy()
    return Table(times_s, tuple(names[i] for i in kept), values[:, kept], said.get("indegrees") in ("yes", "true", "1"))


def _numbers(path: Path, row: int, names: tuple[str, ...], line: list[str]) -> list[float]:
    if len(line) != len(names):
        raise MotionRefused(f"motion {path}, row {row}: found {len(line)} values, needed {len(names)}, one per column")
    try:
        return [float(value) for value in line]
    except ValueError as error:
        raise MotionRefused(f"motion {path}, row {row}: {error}") from error
