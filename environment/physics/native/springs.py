"""Forces on single coordinates: OpenSim 4.6's `CoordinateLimitForce` and `SpringGeneralizedForce` (Apache-2.0)."""

from __future__ import annotations

from environment.physics.native.functions import clamp
from environment.physics.native.jit import inner
from environment.physics.native.lanes import fma, load, select, some, store


@inner
def push_coordinates(zero, springs, y, dofs, work):
    """Sets work.push: forces of limits and springs on the dofs."""
    for dof in range(dofs):
        store(work.push, dof, zero)
    for limit in range(len(springs.limit_dof)):
        dof = springs.limit_dof[limit]
        if dof >= 0:
            force = limit_force(zero, springs, limit, load(zero, y, dof), load(zero, y, dofs + dof))
            store(work.push, dof, load(zero, work.push, dof) + force)
    for spring in range(len(springs.spring_dof)):
        dof = springs.spring_dof[spring]
        if dof >= 0:
            force = spring_force(springs, spring, load(zero, y, dof), load(zero, y, dofs + dof))
            store(work.push, dof, load(zero, work.push, dof) + force)


@inner
def limit_force(zero, springs, limit, q, speed):
    """Generalised force of a coordinate limit."""
    over, under = q - springs.upper_limit[limit], springs.lower_limit[limit] - q
    if not some((over > 0.0) | (under > 0.0)):
        return zero
    upper = _step(over * (1.0 / springs.transition[limit]))
    lower = _step(under * (1.0 / springs.transition[limit]))
    stiff = springs.lower_stiffness[limit] * lower * under - springs.upper_stiffness[limit] * upper * over
    return stiff - springs.damping[limit] * (upper + lower) * speed


@inner
def _step(x):
    """0 below 0, 1 above 1, and x³ (10 - 15x + 6x²) between."""
    x = clamp(x, 0.0, 1.0)
    return x * x * x * fma(x, fma(x, 6.0, -15.0), 10.0)


@inner
def spring_force(springs, spring, q, speed):
    """Generalised force of a linear spring and damper."""
    return springs.stiffness[spring] * (springs.rest[spring] - q) - springs.viscosity[spring] * speed


@inner
def limit_energy(springs, limit, q):
    """Energy (J) stored beyond a coordinate limit."""
    over, under = q - springs.upper_limit[limit], springs.lower_limit[limit] - q
    width = springs.transition[limit]
    above, below = springs.upper_stiffness[limit], springs.lower_stiffness[limit]
    return above * _stored(over, width) + below * _stored(under, width)


@inner
def _stored(beyond, width):
    """Of a unit stiffness: the force's integral in the transition, as OpenSim has it."""
    inside = select(beyond > 0.0, beyond, 0.0)
    x = inside * (1.0 / width)
    fading = inside * inside * x * x * x * fma(x, fma(x, 6.0 / 7.0, -2.5), 2.0)
    return select(x < 1.0, fading, 0.5 * inside * inside - width * width / 7.0)
