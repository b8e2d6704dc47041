"""What the machine code does in one call: moves bodies on and describes where they are."""

from __future__ import annotations

from environment.physics.native.dynamics import derivatives
from environment.physics.native.equilibrium import settle
from environment.physics.native.integration import integrate
from environment.physics.native.jit import inner
from environment.physics.native.methods import Method
from environment.physics.native.records import record
from environment.physics.native.references import referrer
from environment.physics.native.tables import Tables
from environment.physics.native.workspace import Bodies, Run, Work

_tables, _method = referrer(Tables, constant=True), referrer(Method, constant=True)
_bodies, _run, _work = (referrer(kind, constant=False) for kind in (Bodies, Run, Work))


@inner
def advance(zero, lanes, tables, method, bodies, run, work, skip, first, end, duration):
    """Moves bodies first..end on by `duration` seconds and describes where they are; the arguments are directories."""
    tables, method, bodies, run, work = _tables(tables), _method(method), _bodies(bodies), _run(run), _work(work)
    if duration > 0.0:
        integrate(zero, tables, method, bodies, lanes, run, work, skip, first, end, duration)
    for start in range(first, end, lanes):
        _describe(zero, lanes, tables, bodies, run, work, skip, start, end)


@inner
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


@inner
def settle_fibers(zero, tables, bodies, run, work):
    """Puts the first body's fibres into equilibrium with its tendons; `run` and `work` are of one lane."""
    tables, bodies, run, work = _tables(tables), _bodies(bodies), _run(run), _work(work)
    for row in range(len(run.y)):
        run.y[row, 0] = bodies.y[0, row]
    settle(zero, tables, run.y, work)
    for row in range(len(run.y)):
        bodies.y[0, row] = run.y[row, 0]
