"""Short trajectories of a model that is left to random actions: OpenSim's equations, our own simple integrator.

OpenSim's integrators show states at their steps' ends only and refuse models with markers. This one (Bogacki-Shampine
3(2), moderate accuracy) keeps every inner step, since these are states that an engine has to answer for as well.
"""

from __future__ import annotations

import numpy as np

from environment.timestep import CONTROL_STEP_S
from infra.bench.fidelity.draws import Draws
from infra.bench.fidelity.oracle import Array, States

LONGEST_STEPS = 100
LEAST_PELVIS_M = 0.4
_HELD_STEPS = 4
_TOLERANCE = 1e-3
_LEAST_STEP_S = 1e-6


def fall(draws: Draws, most_states: int, *, dropped: bool = False) -> States:
    """Up to a second from around the start pose, or 10 cm above; ends early when the pelvis nears the floor.

    `most_states` ends it too: a body that chatters at a jump of the equations would give endless small steps.
    """
    muscles = len(draws.probe.oracle.muscles)
    q = draws.on_floor(draws.near_start(1, 0.05), np.array([-0.1 if dropped else 0.02]))
    y = np.concatenate((q[0], draws.speeds(1, 0.5)[0], draws.start.a[0], draws.fibers(q, (0.005, 0.035))[0]))
    size = np.concatenate(
        (np.full(q.size, 1.0), np.full(q.size, 10.0), np.full(muscles, 1.0), draws.probe.muscles.optimal_m)
    )
    taken: list[tuple[Array, Array]] = []
    step_s = 1e-3
    e = np.zeros(muscles)
    for step in range(LONGEST_STEPS):
        if step % _HELD_STEPS == 0:
            e = draws.excitations(1)[0]
        left_s = CONTROL_STEP_S
        while left_s > 1e-12:
            y, did_s, step_s = _advance(draws, y, e, min(step_s, left_s), size)
            left_s -= did_s
            taken.append((y, e))
        if len(taken) > most_states:
            break
        if draws.probe.feet and y[draws.column("pelvis_ty")] < LEAST_PELVIS_M:
            break
    ys, es = (np.array(parts) for parts in zip(*taken, strict=True))
    return _split(draws.off_jumps(ys[:, : q.size]), ys, es, muscles)


def _split(q: Array, y: Array, e: Array, muscles: int) -> States:
    n = q.shape[1]
    return States(q, y[:, n : 2 * n], y[:, 2 * n : 2 * n + muscles], y[:, 2 * n + muscles :], e)


def _advance(draws: Draws, y: Array, e: Array, step_s: float, size: Array) -> tuple[Array, float, float]:
    """One accepted step: the state after it, its length, and the length to try next."""
    while True:
        with np.errstate(over="ignore", invalid="ignore"):  # of a step that is far too long, and refused
            after, error = _try(draws, y, e, step_s)
            norm = float(np.sqrt(np.mean((error / size) ** 2)))
        worse = max(norm / _TOLERANCE, 1e-4) if np.isfinite(norm) else np.inf
        follow_s = step_s * min(3.0, max(0.3, 0.9 * worse ** (-1 / 3)))
        if worse <= 1 or step_s <= _LEAST_STEP_S:
            return after, step_s, min(follow_s, CONTROL_STEP_S)
        step_s = follow_s


def _try(draws: Draws, y: Array, e: Array, step_s: float) -> tuple[Array, Array]:
    """The state after a step, and the difference from a second-order step."""
    first = _rate(draws, y, e)
    second = _rate(draws, y + step_s / 2 * first, e)
    third = _rate(draws, y + step_s * 3 / 4 * second, e)
    after = y + step_s / 9 * (2 * first + 3 * second + 4 * third)
    fourth = _rate(draws, after, e)
    return after, step_s * (-5 / 72 * first + second / 12 + third / 9 - fourth / 8)


def _rate(draws: Draws, y: Array, e: Array) -> Array:
    n, muscles = len(draws.names), len(e)
    state = _split(y[None, :n], y[None], e[None], muscles)
    rates = draws.probe.oracle.derivatives(state.q, state.u, state.a, state.l, state.e)
    return np.concatenate((state.u[0], *(rate[0] for rate in rates)))
