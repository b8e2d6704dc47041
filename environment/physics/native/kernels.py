"""The machine code that Python calls: one function per number of lanes."""

from __future__ import annotations

from typing import Any

from numba import njit

from environment.physics.native.dynamics import derivatives
from environment.physics.native.integration import integrate
from environment.physics.native.lanes import zeros
from environment.physics.native.methods import Method
from environment.physics.native.records import record
from environment.physics.native.references import referrer
from environment.physics.native.tables import Tables
from environment.physics.native.workspace import Bodies, Run, Work

_tables, _method = referrer(Tables, constant=True), referrer(Method, constant=True)
_bodies, _run, _work = (referrer(kind, constant=False) for kind in (Bodies, Run, Work))

# A division by zero gives an infinity as in any IEEE arithmetic; the integrator then refuses the step.
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}


@njit
def _advance(zero, lanes, tables, method, bodies, run, work, skip, first, end, duration):
    tables, method, bodies, run, work = _tables(tables), _method(method), _bodies(bodies), _run(run), _work(work)
    if duration > 0.0:
        integrate(zero, tables, method, bodies, lanes, run, work, skip, first, end, duration)
    for start in range(first, end, lanes):
        _describe(zero, lanes, tables, bodies, run, work, skip, start, end)


@njit
def _describe(zero, lanes, tables, bodies, run, work, skip, start, end):
    """Derivatives and whole states of the bodies from `start`, as many as there are lanes."""
    for lane in range(lanes):
        body = min(start + lane, end - 1)
        for row in range(len(run.y)):
            run.y[row, lane] = bodies.y[body, row]
        for muscle in range(len(run.excitation)):
            run.excitation[muscle, lane] = bodies.excitation[body, muscle]
    derivatives(zero, tables, run.y, run.excitation, skip, work, run.slope, 0)
    record(zero, tables, run.y, run.slope, work, work.record, lanes)
    for lane in range(min(lanes, end - start)):
        body = start + lane
        for row in range(len(run.y)):
            bodies.ydot[body, row] = run.slope[row, lane]
        for entry in range(len(work.record)):
            bodies.state[body, entry] = work.record[entry, lane]


@njit("void(i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], b1, i8, i8, f8)", **_OPTIONS)
def advance_1(tables, method, bodies, run, work, skip, first, end, duration):
    """`advance` one body at a time."""
    _advance(zeros(1), 1, tables, method, bodies, run, work, skip, first, end, duration)


@njit("void(i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], b1, i8, i8, f8)", **_OPTIONS)
def advance_8(tables, method, bodies, run, work, skip, first, end, duration):
    """`advance` eight bodies at a time."""
    _advance(zeros(8), 8, tables, method, bodies, run, work, skip, first, end, duration)
