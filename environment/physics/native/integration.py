"""Moves many bodies through time, each with step sizes of its own, some of them at once in the lanes of the processor.

A lane takes the next body from a common queue as soon as it has brought one to the end, so no lane and no thread waits
for a slower one. What happens to a body depends on nothing but itself.
"""

from __future__ import annotations

from environment.physics.native.dynamics import derivatives
from environment.physics.native.functions import maximum
from environment.physics.native.jit import inner
from environment.physics.native.lanes import absolute, fma, load, select, store
from environment.physics.native.references import take

RUNNING, DONE, FAILED, EXHAUSTED = 0, 1, 2, 3
_SAFETY, _EXPONENT, _LEAST_CHANGE, _MOST_CHANGE, _SMALLEST_STEP, _LARGEST_STEP, _MOST_EVALUATIONS = 0, 1, 2, 3, 4, 5, 6


@inner
def integrate(zero, tables, method, bodies, lanes, run, work, skip, number, duration):
    """Brings the `number` bodies asked for forward by `duration` seconds, together with other threads that do the same.

    A failed one stays where its last step led.
    """
    busy = 0
    for lane in range(lanes):
        busy += _take(bodies, run, lane, number, duration)
    while busy > 0:
        for lane in range(lanes):
            run.step[0, lane] = _step_size(method, run, lane)
        _attempt(zero, tables, method, run, work, skip)
        for lane in range(lanes):
            _judge(method, run, lane)
        _adopt(zero, method, run)
        for lane in range(lanes):
            if run.body[lane] >= 0 and run.status[lane] != RUNNING:
                _give_back(bodies, run, lane)
                busy += _take(bodies, run, lane, number, duration) - 1


@inner
def _take(bodies, run, lane, number, duration):
    """Puts the next body into a lane and returns 1, or 0 when there is none left."""
    place = take(bodies.queue, 0, 1)
    if place >= number:
        run.body[lane] = -1
        run.remaining[lane] = 0.0
        return 0
    body = bodies.asked[place]
    stale = bodies.stale[body]
    for row in range(len(run.y)):
        run.y[row, lane] = bodies.y[body, row]
        # A body's first step has length zero: it only finds the slope at the start.
        run.slope[row, lane] = bodies.ydot[body, row] if stale == 1 else 0.0
    for muscle in range(len(run.excitation)):
        run.excitation[muscle, lane] = bodies.excitation[body, muscle]
    run.body[lane] = body
    run.status[lane] = RUNNING
    run.fresh[lane] = 1 - stale
    run.remaining[lane] = duration
    run.preferred[lane] = bodies.step_size_s[body]
    run.strictness[lane] = bodies.strictness[body]
    return 1


@inner
def _give_back(bodies, run, lane):
    body = run.body[lane]
    for row in range(len(run.y)):
        bodies.y[body, row] = run.y[row, lane]
    bodies.step_size_s[body] = run.preferred[lane]
    bodies.failed[body] = max(0, run.status[lane] - DONE)
    bodies.evaluations[body] += run.evaluations[lane]
    run.evaluations[lane] = 0


@inner
def _step_size(method, run, lane):
    """The rest in equal steps of at most the preferred size; none for an idle lane or a fresh body."""
    if run.body[lane] < 0 or run.fresh[lane] == 1:
        return 0.0
    if method.simbody[0] == 1:
        return run.remaining[lane] if 1.001 * run.preferred[lane] >= run.remaining[lane] else run.preferred[lane]
    steps = int(run.remaining[lane] / run.preferred[lane] + 0.999999)
    return run.remaining[lane] / max(steps, 1)


@inner
def _attempt(zero, tables, method, run, work, skip):
    """One step in every lane: run.trial is where it leads, run.error the mean square of its error over the allowed."""
    numbers, stages = len(run.y), len(method.error)
    h = load(zero, run.step, 0)
    for stage in range(1, stages):
        for row in range(numbers):
            slope = zero
            for earlier in range(stage):
                weight = method.stage[stage, earlier]
                if weight != 0.0:
                    slope = fma(load(zero, run.slope, numbers * earlier + row), weight, slope)
            store(run.trial, row, fma(h, slope, load(zero, run.y, row)))
        derivatives(zero, tables, run.trial, run.excitation, skip, work, run.slope, numbers * stage)
    if method.simbody[0] == 1:
        error = _simbody_error(zero, tables, method, run)
    else:
        error = _squares(zero, method, run, 0, numbers, False) * (1.0 / numbers)
    store(run.error, 0, error * (h * h))


@inner
def _squares(zero, method, run, first, end, relative):
    """Sum of the squares of errors per second over the allowed ones; `relative` to numbers larger than 1."""
    numbers, total = len(run.y), zero
    for row in range(first, end):
        error = zero
        for stage in range(len(method.error)):
            error = fma(load(zero, run.slope, numbers * stage + row), method.error[stage], error)
        error = error * method.scale[row]
        if relative:
            error = error / maximum(absolute(load(zero, run.y, row)), zero + 1.0)
        total = fma(error, error, total)
    return total


@inner
def _simbody_error(zero, tables, method, run):
    """The largest mean square of three: coordinates, speeds and muscle states."""
    dofs, counts = len(tables.skeleton.dof_link), method.counts
    coordinates = _squares(zero, method, run, 0, dofs, False) * (1.0 / counts[0])
    speeds = _squares(zero, method, run, dofs, 2 * dofs, True) * (1.0 / counts[1])
    muscles = _squares(zero, method, run, 2 * dofs, len(run.y), True) * (1.0 / counts[2])
    return maximum(coordinates, maximum(speeds, muscles))


@inner
def _judge(method, run, lane):
    """Accepts or refuses the step of a lane, and chooses the next one's size."""
    run.accepted[0, lane] = 0.0
    if run.body[lane] < 0:
        return
    run.evaluations[lane] += len(method.error) - 1
    if run.fresh[lane] == 1:
        run.fresh[lane] = 0
        run.accepted[0, lane] = 1.0
        return
    control = method.control
    h, error = run.step[0, lane], run.error[0, lane] * run.strictness[lane]
    finite = error < 1e300
    change = control[_LEAST_CHANGE]
    if finite:
        change = control[_MOST_CHANGE]
        if error > 1e-30:
            change = min(change, max(control[_LEAST_CHANGE], control[_SAFETY] * error ** control[_EXPONENT]))
    preferred = h * change
    if method.simbody[0] == 1:
        preferred = _simbody_step(run.preferred[lane], h, error, change)
    run.preferred[lane] = min(control[_LARGEST_STEP], max(control[_SMALLEST_STEP], preferred))
    # No step is short enough for a jump of the equations, as where a contact sets in under another's rule.
    shortest = h <= control[_SMALLEST_STEP] * 1.000001
    if error <= 1.0 or (shortest and finite):
        run.accepted[0, lane] = 1.0
        run.remaining[lane] -= h
        if run.remaining[lane] <= 1e-3 * control[_SMALLEST_STEP]:
            run.status[lane] = DONE
    elif shortest:
        run.status[lane] = FAILED
    if run.status[lane] == RUNNING and run.evaluations[lane] > control[_MOST_EVALUATIONS]:
        run.status[lane] = EXHAUSTED


@inner
def _simbody_step(preferred, h, error, change):
    """The next step's size: from the uncut one, and not changed for little."""
    if not error <= 1.0:
        return preferred * min(change, 0.9)
    if change < 1.2 or h < 0.95 * preferred:
        return preferred
    return preferred * change


@inner
def _adopt(zero, method, run):
    """Takes the accepted steps; the slope at their end is the next ones' at the start."""
    numbers, last = len(run.y), len(method.error) - 1
    accepted = load(zero, run.accepted, 0) > 0.0
    # The first step of a body leads nowhere, and must not put a slope that is not finite into its state.
    moved = accepted & (load(zero, run.step, 0) > 0.0)
    for row in range(numbers):
        store(run.y, row, select(moved, load(zero, run.trial, row), load(zero, run.y, row)))
        end = load(zero, run.slope, numbers * last + row)
        store(run.slope, row, select(accepted, end, load(zero, run.slope, row)))
