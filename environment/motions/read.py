"""Motion files into states of a model: checked, and completed where they say less than a state.

What a file leaves out is found so: coordinates (and locked ones, whatever the file says) are in the model's default
pose; speeds are the slopes of splines; activations are the model's default; fibres are in equilibrium with their
tendons, at rest. The rest of a state follows from these.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from environment.motions.columns import entries_of
from environment.motions.even import even
from environment.motions.motion import Motion, MotionRefused
from environment.motions.slopes import FEWEST_ROWS, slopes
from environment.motions.table import Table, read_table
from environment.osim_file import read_model
from environment.physics.native.engine import Engine
from environment.physics.native.settings import NativeSettings

RANGE_TOLERANCE_RAD = 0.1
"""By which a joint may be beyond its coordinate's range: recorded motions are, by some degrees."""
_ACTIVATION_TOLERANCE = 1e-3
_AT_A_TIME = 64
Float64 = NDArray[np.float64]


def read_motion(path: Path, model: Path) -> Motion:
    """The motion in a .csv, .sto or .mot file, as states of the model in an .osim file.

    Raises: MotionRefused: unknown and missing columns, values that are not finite or out of their range, times that
        do not rise.
    """
    table, rate_hz = even(path, read_table(path))
    engine = Engine(read_model(model), NativeSettings(), _AT_A_TIME)
    try:
        started, completed, ignored = _Completion(path, table, engine, rate_hz).states()
        states = _whole(path, engine, started)
    finally:
        engine.close()
    return Motion(path.stem, table.times_s, states, rate_hz, completed, ignored)


class _Completion:
    """One file's table on its way to states (T, S) of which only what can be started from is filled in."""

    def __init__(self, path: Path, table: Table, engine: Engine, rate_hz: float) -> None:
        self._path, self._table, self._engine, self._rate_hz = path, table, engine, rate_hz
        layout, joints = engine.layout, engine.model.joints
        self._coordinates = {f"joint_pos/{joint.name}/{one.name}": one for joint in joints for one in joint.coordinates}
        free = [entry for entry, one in self._coordinates.items() if not one.locked]
        self._found, self._ignored = entries_of(path, table.names, layout, free)
        self._free = free
        self._states = np.zeros((len(table.times_s), layout.size))
        self._completed: list[str] = []

    def states(self) -> tuple[Float64, tuple[str, ...], tuple[str, ...]]:
        """States, and what was completed and ignored."""
        self._take_values()
        self._take_speeds()
        self._take_muscles()
        places = self._engine.layout.continuous
        bad = np.argwhere(~np.isfinite(self._states[:, places]))
        if len(bad):
            row, column = bad[0].tolist()
            raise self._refused(row, self._engine.layout.names[places[column]], "is not finite")
        self._check_ranges()
        return self._states, tuple(self._completed), self._ignored

    def _take_values(self) -> None:
        for entry, one in self._coordinates.items():
            if one.locked or entry not in self._found:
                self._set(entry, np.asarray(one.default))
                self._completed += [] if one.locked else [entry]
            else:
                self._set(entry, self._column(entry, rotational=one.rotational))

    def _take_speeds(self) -> None:
        names = {entry: f"joint_vel/{entry.partition('/')[2]}" for entry in self._free}
        for entry, speed in names.items():
            if speed in self._found:
                self._set(speed, self._column(speed, rotational=self._coordinates[entry].rotational))
        missing = [entry for entry, speed in names.items() if speed not in self._found]
        if not missing:
            return
        if len(self._states) < FEWEST_ROWS:
            raise MotionRefused(
                f"motion {self._path} has {len(self._states)} rows and no speeds; needed at least {FEWEST_ROWS} rows "
                "to find them"
            )
        index = self._engine.layout.index
        values = self._states[:, [index[entry] for entry in missing]]
        self._states[:, [index[names[entry]] for entry in missing]] = slopes(values, 1.0 / self._rate_hz)
        self._completed += [names[entry] for entry in missing]

    def _take_muscles(self) -> None:
        layout, fibers = self._engine.layout, []
        for muscle in self._engine.model.muscles:
            activation, fiber = f"muscles/{muscle.name}/activation", f"muscles/{muscle.name}/fiber_length"
            if activation in self._found:
                self._set(activation, self._activation(activation))
            else:
                self._set(activation, np.asarray(muscle.default_activation))
                self._completed.append(activation)
            if fiber in self._found:
                self._set(fiber, self._table.values[:, self._found[fiber]])
            else:
                fibers.append(fiber)
        if fibers:
            places, into = self._engine.places, [layout.index[fiber] for fiber in fibers]
            settled = np.zeros(layout.size)
            for state in self._states:
                settled[places] = self._engine.settled(state[places])
                state[into] = settled[into]
            self._completed += fibers

    def _activation(self, entry: str) -> Float64:
        values = self._table.values[:, self._found[entry]]
        bad = ~((values >= -_ACTIVATION_TOLERANCE) & (values <= 1.0 + _ACTIVATION_TOLERANCE))
        if bad.any():
            row = int(np.argmax(bad))
            raise self._refused(row, entry, f"= {values[row]:g} is outside 0..1")
        clipped: Float64 = values.clip(0.0, 1.0)
        return clipped

    def _check_ranges(self) -> None:
        for entry in self._free:
            one, values = self._coordinates[entry], self._states[:, self._engine.layout.index[entry]]
            if not one.rotational:
                continue  # a walker goes as far as it likes
            off = np.maximum(one.range[0] - values, values - one.range[1])
            if off.max() > RANGE_TOLERANCE_RAD:
                row = int(np.argmax(off))
                raise self._refused(
                    row,
                    entry,
                    f"= {values[row]:.4g} rad is outside {one.range[0]:.4g}..{one.range[1]:.4g} rad (and the tolerance "
                    f"of {RANGE_TOLERANCE_RAD}); is it in degrees, without a line inDegrees=yes?",
                )

    def _column(self, entry: str, *, rotational: bool) -> Float64:
        values = self._table.values[:, self._found[entry]]
        converted: Float64 = np.deg2rad(values) if self._table.in_degrees and rotational else values
        return converted

    def _set(self, entry: str, values: Float64) -> None:
        self._states[:, self._engine.layout.index[entry]] = values

    def _refused(self, row: int, entry: str, problem: str) -> MotionRefused:
        return MotionRefused(f"motion {self._path}, row {row} ({self._table.times_s[row]:g} s): {entry} {problem}")


def _whole(path: Path, engine: Engine, started: Float64) -> Float64:
    """(T, S) with all that follows from what is filled in."""
    states = np.empty_like(started)
    engine.bodies.excitation[:] = 0.0
    for first in range(0, len(started), _AT_A_TIME):
        part = started[first : first + _AT_A_TIME]
        rows = np.arange(len(part))
        for row, state in zip(rows.tolist(), part, strict=True):
            try:
                engine.bodies.y[row] = engine.continuous(state)
            except ValueError as error:
                raise MotionRefused(f"motion {path}, row {first + row}: {error}") from error
        engine.advance(0.0, rows)
        if engine.bodies.failed[rows].any():
            row = first + int(np.argmax(engine.bodies.failed[rows] != 0))
            raise MotionRefused(f"motion {path}, row {row}: forces or accelerations there are not finite")
        states[first : first + len(part)] = engine.bodies.state[rows]
    return states
