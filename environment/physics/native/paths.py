"""Muscle paths: their lengths, and the pull of their tension on the links."""

from __future__ import annotations

from environment.physics.native.functions import (
    clamp,
    cross,
    dot,
    load3,
    load9,
    minus,
    plus,
    spline,
    store3,
    times,
    turned,
)
from environment.physics.native.jit import inner
from environment.physics.native.lanes import fill, fma, load, select, some, sqrt, store


@inner
def place_points(zero, tables, y, work):
    """Path points relative to the reference point, and which conditions hold (1 or 0)."""
    paths = tables.paths
    for point in range(len(paths.point_link)):
        location = paths.point_location_m
        at = (
            fill(zero, location[point, 0]),
            fill(zero, location[point, 1]),
            fill(zero, location[point, 2]),
        )
        _place_point(zero, paths.point_link[point], at, work.point, point, work)
    for moving in range(len(paths.moving_point)):
        _place_moving_point(zero, tables, moving, y, work)
    for condition in range(len(paths.condition_dof)):
        q = load(zero, y, paths.condition_dof[condition])
        holds = (q >= paths.condition_low[condition]) & (q <= paths.condition_high[condition])
        store(work.condition, condition, select(holds, zero + 1.0, zero))


@inner
def _place_point(zero, link, at, points, point, work):
    """`at` is in the link; ground's points are relative to the reference point too."""
    if link < 0:
        store3(points, 3 * point, minus(at, load3(zero, work.reference, 0)))
    else:
        rotated = turned(load9(zero, work.rotation, 9 * link), at)
        store3(points, 3 * point, plus(load3(zero, work.position, 3 * link), rotated))


@inner
def _place_moving_point(zero, tables, moving, y, work):
    """Its place uses the coordinate clamped to its range, the derivative the coordinate itself: as in OpenSim."""
    paths = tables.paths
    x, dx = _component(zero, tables, moving, 0, y)
    y_, dy = _component(zero, tables, moving, 1, y)
    z, dz = _component(zero, tables, moving, 2, y)
    f, t = paths.moving_frame_rotation, paths.moving_frame_translation
    frame = (
        (f[moving, 0], f[moving, 1], f[moving, 2]),
        (f[moving, 3], f[moving, 4], f[moving, 5]),
        (f[moving, 6], f[moving, 7], f[moving, 8]),
    )
    place, slope = (x, y_, z), (dx, dy, dz)
    at = (
        dot(place, frame[0]) + t[moving, 0],
        dot(place, frame[1]) + t[moving, 1],
        dot(place, frame[2]) + t[moving, 2],
    )
    slope = dot(slope, frame[0]), dot(slope, frame[1]), dot(slope, frame[2])
    point = paths.moving_point[moving]
    link = paths.point_link[point]
    _place_point(zero, link, at, work.point, point, work)
    if link >= 0:
        slope = turned(load9(zero, work.rotation, 9 * link), slope)
    store3(work.point_slope, 3 * moving, slope)


@inner
def _component(zero, tables, moving, k, y):
    """(value, derivative) of one component of a moving point's location in its body."""
    paths = tables.paths
    slope, intercept = paths.moving_slope[moving, k], paths.moving_intercept[moving, k]
    dof = paths.moving_dof[moving, k]
    if dof < 0:
        return fill(zero, intercept), zero
    q = load(zero, y, dof)
    low, high = paths.moving_low[moving, k], paths.moving_high[moving, k]
    clamped = clamp(q, low, high)
    which = paths.moving_spline[moving, k]
    if which < 0:
        return fma(clamped, slope, fill(zero, intercept)), fill(zero, slope)
    value, derivative, _ = spline(q, tables.splines, which)
    if some((q < low) | (q > high)):
        value, _, _ = spline(clamped, tables.splines, which)
    return value, derivative


@inner
def path_length(zero, paths, muscle, work):
    """Length of a muscle's path; leaves the segments' unit vectors in `work.direction`, 0 where there is none."""
    length = fill(zero, paths.fixed_length_m[muscle])
    for segment in range(paths.segment_start[muscle], paths.segment_start[muscle + 1]):
        there = _present(zero, paths, segment, work)
        if some(there > 0.0):
            end = load3(zero, work.point, 3 * paths.segment_to[segment])
            along = minus(end, load3(zero, work.point, 3 * paths.segment_from[segment]))
            distance = sqrt(dot(along, along))
            length = fma(there, distance, length)
            store3(work.direction, 3 * segment, times(along, select(there > 0.0, there / distance, 0.0)))
        else:
            store3(work.direction, 3 * segment, (zero, zero, zero))
    return length


@inner
def _present(zero, paths, segment, work):
    """1 where the segment exists, else 0."""
    there = zero + 1.0
    for need in range(paths.need_start[segment], paths.need_start[segment + 1]):
        holds = load(zero, work.condition, paths.need_condition[need])
        there = there * (holds if paths.need_present[need] == 1 else 1.0 - holds)
    return there


@inner
def pull(zero, paths, muscle, tension, work):
    """Applies a muscle's tension (N) to the links and dofs that its path touches."""
    for segment in range(paths.segment_start[muscle], paths.segment_start[muscle + 1]):
        if paths.segment_pulls[segment] == 0:
            continue
        force = times(load3(zero, work.direction, 3 * segment), tension)
        start, end = paths.segment_from[segment], paths.segment_to[segment]
        from_link, to_link = paths.point_link[start], paths.point_link[end]
        if from_link != to_link:
            # Both ends lie on the line of the force, so both links get the same moment, with opposite signs.
            moment = cross(load3(zero, work.point, 3 * start), force)
            _apply(zero, from_link, moment, force, work)
            _apply(zero, to_link, times(moment, -1.0), times(force, -1.0), work)
        _push_moving(zero, paths, paths.segment_from_moving[segment], force, 1.0, work)
        _push_moving(zero, paths, paths.segment_to_moving[segment], force, -1.0, work)


@inner
def _apply(zero, link, moment, force, work):
    """work.force holds what a link needs, so what it gets is taken off."""
    if link >= 0:
        store3(work.force, 6 * link, minus(load3(zero, work.force, 6 * link), moment))
        store3(work.force, 6 * link + 3, minus(load3(zero, work.force, 6 * link + 3), force))


@inner
def _push_moving(zero, paths, moving, force, sign, work):
    """A point that a coordinate moves is pushed along its way; OpenSim counts it for the x component's coordinate."""
    if moving >= 0:
        dof = paths.moving_dof[moving, 0]
        if dof >= 0:
            along = dot(force, load3(zero, work.point_slope, 3 * moving))
            store(work.push, dof, fma(along, sign, load(zero, work.push, dof)))
