"""What the machine code does in one call: moves bodies on and describes where they are."""

from __future__ import annotations

from environment.physics.native.dynamics import derivatives
from environment.physics.native.equilibrium import settle
from environment.physics.native.integration import integrate
from environment.physics.native.jit import inner
from environment.physics.native.lanes import fma, load, select, store
from environment.physics.native.methods import Method
from environment.physics.native.records import record
from environment.physics.native.references import referrer, take
from environment.physics.native.tables import Tables
from environment.physics.native.workspace import Bodies, Run, Work

_tables, _method = referrer(Tables, constant=True), referrer(Method, constant=True)
_bodies, _run, _work = (referrer(kind, constant=False) for kind in (Bodies, Run, Work))


@inner
def advance(zero, lanes, tables, method, bodies, run, work, skip, number, duration):
    """Moves the bodies asked for on by `duration` seconds or, when it is 0, describes where they are.

    The arguments are directories. Several threads may call it at the same time, each with its own `run` and `work`.
    """
    tables, method, bodies, run, work = _tables(tables), _method(method), _bodies(bodies), _run(run), _work(work)
    if duration > 0.0:
        integrate(zero, tables, method, bodies, lanes, run, work, skip, number, duration)
    else:
        place = take(bodies.queue, 1, lanes)
        while place < number:
            _describe(zero, lanes, tables, bodies, run, work, skip, place, number)
            place = take(bodies.queue, 1, lanes)


@inner
def _describe(zero, lanes, tables, bodies, run, work, skip, place, number):
    """Derivatives and whole states of as many bodies as there are lanes."""
    for lane in range(lanes):
        body = bodies.asked[min(place + lane, number - 1)]
        for row in range(len(run.y)):
            run.y[row, lane] = bodies.y[body, row]
        for muscle in range(len(run.excitation)):
            run.excitation[muscle, lane] = bodies.excitation[body, muscle]
    derivatives(zero, tables, run.y, run.excitation, skip, work, run.slope, 0)
    record(zero, tables, run.y, run.slope, work, work.record, lanes)
    nothing = zero
    for entry in range(len(work.record)):
        nothing = fma(load(zero, work.record, entry), 0.0, nothing)
    store(work.finite, 0, select(nothing == 0.0, zero + 1.0, zero))
    for lane in range(min(lanes, number - place)):
        body = bodies.asked[place + lane]
        for row in range(len(run.y)):
            bodies.ydot[body, row] = run.slope[row, lane]
        for entry in range(len(work.record)):
            bodies.state[body, entry] = work.record[entry, lane]
        if work.finite[0, lane] == 0.0:
            bodies.failed[body] = 3


@inner
def settle_fibers(zero, tables, bodies, run, work):
    """Puts the first body's fibres into equilibrium with its tendons; `run` and `work` are of one lane."""
    tables, bodies, run, work = _tables(tables), _bodies(bodies), _run(run), _work(work)
    for row in range(len(run.y)):
        run.y[row, 0] = bodies.y[0, row]
    settle(zero, tables, run.y, work)
    for row in range(len(run.y)):
        bodies.y[0, row] = run.y[row, 0]
