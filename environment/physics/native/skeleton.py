"""Rigid-body dynamics of the tree, after Featherstone, 'Rigid Body Dynamics Algorithms' (2008).

All spatial vectors (angular part first) are in ground's axes about one point, the origin of the first link at this
moment. So motions, forces and inertias of different links add up as they are, and nothing depends on how far the body
has walked.
"""

from __future__ import annotations

from environment.physics.native.functions import (
    add3,
    cross,
    load3,
    load9,
    minus,
    plus,
    sin_cos,
    spline,
    store3,
    times,
    turned,
)
from environment.physics.native.jit import inner
from environment.physics.native.lanes import fill, fma, load, store


@inner
def place_links(zero, tables, y, work):
    """Positions, velocities, velocity-dependent accelerations and motion subspaces at the state `y`.

    `work.position` is relative to `work.reference`, which is the first link's origin in ground.
    """
    skeleton = tables.skeleton
    for row in range(6 * len(skeleton.dof_link)):
        store(work.motion, row, zero)
    for link in range(len(skeleton.parent)):
        parent = skeleton.parent[link]
        if parent >= 0:
            _start_from_parent(zero, skeleton, link, parent, work)
        else:
            _start_from_ground(zero, skeleton, link, work)
        for axis in range(skeleton.axis_start[link], skeleton.turn_start[link]):
            _move_along(zero, tables, link, parent, axis, y, work)
        if link == 0:
            store3(work.reference, 0, load3(zero, work.position, 0))
        if parent < 0:
            at = minus(load3(zero, work.position, 3 * link), load3(zero, work.reference, 0))
            store3(work.position, 3 * link, at)
        for axis in range(skeleton.turn_start[link], skeleton.axis_start[link + 1]):
            _turn_about(zero, tables, link, axis, y, work)


@inner
def _start_from_parent(zero, skeleton, link, parent, work):
    rotation = load9(zero, work.rotation, 9 * parent)
    for column in range(3):
        f = skeleton.frame_rotation
        v = f[link, column], f[link, 3 + column], f[link, 6 + column]
        turned_column = turned(rotation, v)
        for row in range(3):
            store(work.rotation, 9 * link + 3 * row + column, turned_column[row])
    t = skeleton.frame_translation
    offset = turned(rotation, (t[link, 0], t[link, 1], t[link, 2]))
    store3(work.position, 3 * link, plus(load3(zero, work.position, 3 * parent), offset))
    for row in range(6):
        store(work.velocity, 6 * link + row, load(zero, work.velocity, 6 * parent + row))
        store(work.acceleration, 6 * link + row, load(zero, work.acceleration, 6 * parent + row))


@inner
def _start_from_ground(zero, skeleton, link, work):
    for entry in range(9):
        store(work.rotation, 9 * link + entry, fill(zero, skeleton.frame_rotation[link, entry]))
    for k in range(3):
        store(work.position, 3 * link + k, fill(zero, skeleton.frame_translation[link, k]))
        store(work.velocity, 6 * link + k, zero)
        store(work.velocity, 6 * link + 3 + k, zero)
        store(work.acceleration, 6 * link + k, zero)
        # Gravity is an upward acceleration of the ground.
        store(work.acceleration, 6 * link + 3 + k, fill(zero, -skeleton.gravity_m_per_s2[k]))


@inner
def _function(zero, tables, axis, q):
    """(value, first, second derivative) of an axis' function of its coordinate."""
    skeleton = tables.skeleton
    slope = skeleton.axis_slope[axis]
    if skeleton.axis_spline[axis] < 0:
        return fma(q, slope, fill(zero, skeleton.axis_intercept[axis])), fill(zero, slope), zero
    value, first, second = spline(q, tables.splines, skeleton.axis_spline[axis])
    return slope * value, slope * first, slope * second


@inner
def _move_along(zero, tables, link, parent, axis, y, work):
    """One of the axes along which the joint moves; it is fixed in the joint's frame, as the link is still."""
    skeleton = tables.skeleton
    dof = skeleton.axis_dof[axis]
    value, first, second = _function(zero, tables, axis, load(zero, y, dof))
    speed = load(zero, y, len(skeleton.dof_link) + dof)
    direction = _direction(zero, skeleton, link, axis, work)
    add3(zero, work.position, 3 * link, times(direction, value))
    rate = first * speed
    omega = load3(zero, work.velocity, 6 * link)
    change = plus(times(direction, second * speed * speed), times(cross(omega, direction), rate))
    add3(zero, work.acceleration, 6 * link + 3, change)
    add3(zero, work.velocity, 6 * link + 3, times(direction, rate))
    add3(zero, work.motion, 6 * dof + 3, times(direction, first))


@inner
def _turn_about(zero, tables, link, axis, y, work):
    """One of the axes about which the joint turns; it is fixed in the link as the earlier axes have left it."""
    skeleton = tables.skeleton
    dof = skeleton.axis_dof[axis]
    angle, first, second = _function(zero, tables, axis, load(zero, y, dof))
    speed = load(zero, y, len(skeleton.dof_link) + dof)
    direction = _direction(zero, skeleton, link, axis, work)
    moment = cross(load3(zero, work.position, 3 * link), direction)
    rate = first * speed
    bend = second * speed * speed
    omega, v = load3(zero, work.velocity, 6 * link), load3(zero, work.velocity, 6 * link + 3)
    angular = plus(times(direction, bend), times(cross(omega, direction), rate))
    linear = plus(times(moment, bend), times(plus(cross(omega, moment), cross(v, direction)), rate))
    add3(zero, work.acceleration, 6 * link, angular)
    add3(zero, work.acceleration, 6 * link + 3, linear)
    add3(zero, work.velocity, 6 * link, times(direction, rate))
    add3(zero, work.velocity, 6 * link + 3, times(moment, rate))
    add3(zero, work.motion, 6 * dof, times(direction, first))
    add3(zero, work.motion, 6 * dof + 3, times(moment, first))
    _turn_link(zero, skeleton, link, axis, direction, angle, work)


@inner
def _direction(zero, skeleton, link, axis, work):
    """The axis in ground."""
    aligned = skeleton.axis_aligned[axis]
    if aligned >= 0:
        r = 9 * link + aligned
        return load(zero, work.rotation, r), load(zero, work.rotation, r + 3), load(zero, work.rotation, r + 6)
    a = skeleton.axis_direction
    return turned(load9(zero, work.rotation, 9 * link), (a[axis, 0], a[axis, 1], a[axis, 2]))


@inner
def _turn_link(zero, skeleton, link, axis, direction, angle, work):
    """work.rotation of the link, turned about an axis of its own."""
    sine, cosine = sin_cos(angle)
    aligned = skeleton.axis_aligned[axis]
    if aligned >= 0:
        one, other = (aligned + 1) % 3, (aligned + 2) % 3
        for row in range(9 * link, 9 * link + 9, 3):
            a, b = load(zero, work.rotation, row + one), load(zero, work.rotation, row + other)
            store(work.rotation, row + one, fma(cosine, a, sine * b))
            store(work.rotation, row + other, fma(cosine, b, -(sine * a)))
    else:
        a = skeleton.axis_direction
        x, y, z = a[axis, 0], a[axis, 1], a[axis, 2]
        for k in range(3):
            row = 9 * link + 3 * k
            r = load3(zero, work.rotation, row)
            along = direction[k] * (1.0 - cosine)
            # Row k of R (c 1 + s [a]x + (1 - c) a a^T).
            store(work.rotation, row, fma(cosine, r[0], fma(along, x, sine * (r[1] * z - r[2] * y))))
            store(work.rotation, row + 1, fma(cosine, r[1], fma(along, y, sine * (r[2] * x - r[0] * z))))
            store(work.rotation, row + 2, fma(cosine, r[2], fma(along, z, sine * (r[0] * y - r[1] * x))))
