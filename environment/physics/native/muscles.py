"""Thelen's muscle of 2003 with OpenSim's elastic tendon and extrapolations, and first-order activation.

Thelen, 'Adjustment of muscle mechanics model parameters to simulate dynamic contractions in older adults', J. Biomech.
Eng. 125 (2003); the equations are those of OpenSim 4.6's `Thelen2003Muscle` (Apache-2.0).
"""

from __future__ import annotations

from environment.physics.native.functions import clamp, exp, maximum
from environment.physics.native.jit import inner
from environment.physics.native.lanes import fill, fma, select, some, sqrt

# Tendon force at the end of the toe region, relative to the maximum isometric force, and 1 / (exp(3) - 1).
_TOE_FORCE = 0.33
_TOE_SCALE = 0.052395696491256954


@inner
def activation_rate(muscles, muscle, activation, excitation):
    """1/s. Neither the excitation nor the state is clamped, only the activation that the rate depends on."""
    a = clamp(activation, muscles.minimum_activation[muscle], 1.0)
    pace = fma(a, 1.5, 0.5)
    rises = excitation > a
    rate = select(rises, 1.0 / (muscles.activation_time_s[muscle] * pace), pace / muscles.deactivation_time_s[muscle])
    return (excitation - a) * rate


@inner
def tendon_force(muscles, muscle, strain):
    """Relative to the maximum isometric force."""
    toe = muscles.toe_strain[muscle]
    straight = fma(strain - toe, muscles.tendon_slope[muscle], _TOE_FORCE)
    bent = (strain > 0.0) & (strain <= toe)
    force = select(strain > toe, straight, 0.0)
    if some(bent):
        inside = select(bent, strain, 0.0)
        force = select(bent, (_TOE_FORCE * _TOE_SCALE) * (exp(inside * (3.0 / toe)) - 1.0), force)
    return force


@inner
def passive_force(muscles, muscle, length):
    """Of a fibre of relative length, relative to the maximum isometric force."""
    stretched = length > 1.0
    force = fill(length, 0.0)
    if some(stretched):
        over = select(stretched, length - 1.0, 0.0)
        force = muscles.passive_scale[muscle] * (exp(over * muscles.passive_rate[muscle]) - 1.0)
    return force


@inner
def contract(muscles, muscle, path_length, activation, fiber_length):
    """(tendon force N, fibre velocity m/s, cosine of the pennation angle, whether the fibre is at its minimum)."""
    optimal = muscles.optimal_fiber_length_m[muscle]
    shortest = muscles.minimum_fiber_length_m[muscle]
    a = clamp(activation, muscles.minimum_activation[muscle], 1.0)
    length = maximum(fiber_length, shortest)
    height = muscles.fiber_height_m[muscle] / length
    cosine = sqrt(fma(-height, height, 1.0))
    cosine = select(fiber_length <= shortest, muscles.cos_maximum_pennation[muscle], cosine)
    slack = muscles.tendon_slack_length_m[muscle]
    strain = fma(-length, cosine, path_length) / slack - 1.0
    tendon = tendon_force(muscles, muscle, strain)
    relative = length * (1.0 / optimal)
    stretch = relative - 1.0
    active = a * exp(stretch * stretch * (-1.0 / muscles.active_width[muscle]))
    fiber = tendon / cosine - passive_force(muscles, muscle, relative)
    pace = _velocity(muscles, muscle, fiber, active, a)
    stopped = (fiber_length <= shortest) & (pace <= 0.0)
    velocity = select(stopped, 0.0, pace * muscles.max_velocity_m_per_s[muscle])
    return tendon * muscles.max_isometric_force_n[muscle], velocity, cosine, stopped


@inner
def _velocity(muscles, muscle, fiber, active, activation):
    """Relative velocity at which a fibre with that active strength bears the force; linear beyond both ends."""
    af, flen = muscles.af[muscle], muscles.flen[muscle]
    strength = active * flen
    last = strength * muscles.threshold[muscle]
    at = select(fiber < 0.0, 0.0, select(fiber > last, last, fiber))
    pace = fma(activation, 0.75, 0.25)
    shortens = at <= active
    lengthening = (2.0 + 2.0 / af) / (flen - 1.0)
    b = select(shortens, fma(at, 1.0 / af, active), lengthening * (strength - at))
    inverse = 1.0 / b
    velocity = pace * (at - active) * inverse
    beyond = fiber - at
    if some((beyond < 0.0) | (beyond > 0.0)):
        slope = select(shortens, fill(b, 1.0 / af), -lengthening)
        rate = pace * inverse * fma(-(at - active), slope * inverse, 1.0)
        velocity = fma(beyond, rate, velocity)
    return velocity
