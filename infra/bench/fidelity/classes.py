"""The classes of states that every model can have, and those around the knots and thresholds of the gait models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields

import numpy as np

from infra.bench.fidelity.draws import Draws
from infra.bench.fidelity.falls import fall
from infra.bench.fidelity.model_file import CONDITION_MARGIN_RAD
from infra.bench.fidelity.oracle import Array, States

_CLEARANCE = (-8.0, -4.0)
"""Powers of ten: how near to a threshold."""

Make = Callable[[Draws, int], States]
"""(draws, n) -> n states."""


def _random(draws: Draws, n: int) -> States:
    """Wide poses and speeds; half with fibres that have nothing to do with their muscle's length."""
    q = draws.wide(n)
    fibers = draws.fibers(q)
    free = draws.choose(n, 0.5)
    fibers[free] = draws.probe.muscles.optimal_m * draws.generator.uniform(0.4, 1.6, fibers[free].shape)
    return draws.states(q, draws.speeds(n, 10.0), l=fibers)


def _falling(draws: Draws, n: int) -> States:
    """From trajectories with random actions, the integrator's inner steps among them."""
    found: list[States] = []
    while len(found) < 2 or sum(map(len, found)) < 4 * n:
        found.append(fall(draws, max(600, min(4 * n, 4000)), dropped=len(found) % 2 == 0))
    joined = States(*(np.concatenate([getattr(one, field.name) for one in found]) for field in fields(States)))
    return joined[np.sort(draws.generator.choice(len(joined), n, replace=len(joined) < n))]


def _standing(draws: Draws, n: int) -> States:
    q = draws.on_floor(draws.near_start(n, 0.03), draws.generator.uniform(0.0, 0.03, n))
    a = draws.generator.uniform(0.01, 0.2, (n, len(draws.probe.oracle.muscles)))
    return draws.states(q, draws.speeds(n, 0.2), a=a, l=draws.fibers(q, (0.005, 0.035)))


def _rest(draws: Draws, n: int) -> States:
    """Exactly no speed: no friction, no damping."""
    q = draws.near_start(n, 0.1)
    q = draws.on_floor(q, draws.generator.uniform(-0.01, 0.04, n))
    return draws.states(q, np.zeros_like(q))


def _limits(draws: Draws, n: int) -> States:
    """Each coordinate within, in and beyond the transition of its limit, or around the end of its range.

    A tenth of the knees go beyond their splines, which no fall does but the equations say.
    """
    q = draws.near_start(n, 0.2)
    ends = {limit.coordinate: (limit.lower, limit.upper) for limit in draws.probe.file.limits()}
    for column, name in enumerate(draws.names):
        if draws.translations[column]:
            continue
        low, high = ends.get(name, tuple(draws.ranges[column]))
        side = draws.generator.integers(3, size=n)  # a third stays where it is
        past = draws.generator.uniform(-0.05, 0.5, n)
        q[:, column] = np.select([side == 0, side == 1], [low - past, high + past], q[:, column])
    for name, knots in draws.probe.file.knots().items():
        far = draws.choose(n, 0.1)
        beyond = draws.generator.uniform(1e-6, 0.5, far.sum())
        q[far, draws.column(name)] = np.where(draws.choose(len(beyond), 0.5), knots[0] - beyond, knots[-1] + beyond)
    q = draws.on_floor(draws.off_jumps(draws.off_gimbal_lock(q)), draws.generator.uniform(-0.5, 0.01, n))
    return draws.states(q, draws.speeds(n, 6.0))


def _muscles(draws: Draws, n: int) -> States:
    """Activations and fibres anywhere, clamps and beyond; a state mixes them, muscle by muscle."""
    generator, muscles = draws.generator, draws.probe.muscles
    q = draws.on_floor(draws.near_start(n, 0.3), generator.uniform(-0.1, 0.01, n))
    shape = (n, len(muscles.optimal_m))

    def mixed(*kinds: Array) -> Array:
        return np.asarray(
            np.choose(generator.integers(len(kinds), size=shape), [np.broadcast_to(k, shape) for k in kinds])
        )

    near = 10 ** generator.uniform(*_CLEARANCE, shape)
    least = np.maximum(muscles.minimum_m, 0.01 * muscles.optimal_m)
    a = mixed(
        generator.uniform(0.01, 1.0, shape),
        generator.uniform(-0.2, 0.01, shape),
        generator.uniform(1.0, 1.3, shape),
        np.full(shape, 0.01),
        np.ones(shape),
        0.01 + near * generator.choice((-1, 1), shape),
        np.zeros(shape),
    )
    fibers = mixed(
        draws.fibers(q),
        draws.fibers(q, (-0.1, 0.0)),  # slack
        draws.fibers(q, (0.02, 0.12)),  # far above the maximal force
        muscles.optimal_m * generator.uniform(1.3, 1.9, shape),  # passive
        muscles.optimal_m * generator.uniform(0.3, 0.7, shape),
        least * (1 - near),
        least * (1 + near),
        np.where(muscles.minimum_m > 0, least * generator.uniform(0.2, 1.0, shape), muscles.optimal_m),
    )
    return draws.states(q, draws.speeds(n, 3.0), a=a, l=fibers)


def _thresholds(draws: Draws, n: int) -> States:
    """On and around the knots of splines, around the ends of moving points' ranges and where points come and go."""
    generator, probe = draws.generator, draws.probe
    q = draws.near_start(n, 0.2)
    for name, jumps in probe.file.jumps().items():
        column = draws.column(name)
        smooth = [*probe.file.knots().get(name, ()), *draws.ranges[column]]
        exact = [knot for knot in smooth if min(abs(knot - jump) for jump in jumps) > 1e-7]
        # From both sides in turn, so that few states meet all of them.
        sides = [(place, side) for place in (*jumps, *(jump - CONDITION_MARGIN_RAD for jump in jumps), *smooth)
                 for side in (-1, 1)]  # fmt: skip
        turn = generator.permutation(n) % len(sides)
        place, side = np.array(sides)[turn].T
        q[:, column] = place + side * 10 ** generator.uniform(_CLEARANCE[0], np.log10(0.9 * CONDITION_MARGIN_RAD), n)
        on = draws.choose(n, 0.1) & (turn >= 4 * len(jumps)) & bool(exact)
        q[on, column] = generator.choice(exact or [0.0], int(on.sum()))
    q = draws.on_floor(draws.off_jumps(q), generator.uniform(-0.1, 0.01, n))
    return draws.states(q, draws.speeds(n, 3.0))


CLASSES: Mapping[str, Make] = {
    "random": _random,
    "falling": _falling,
    "standing": _standing,
    "rest": _rest,
    "limits": _limits,
    "muscles": _muscles,
}
"""Of every model."""
KNOT_CLASSES: Mapping[str, Make] = {"thresholds": _thresholds}
"""Of models with splines."""
