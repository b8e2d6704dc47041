"""The full state of a body as numbers, in the order of `layout.py`: osim-rl's."""

from __future__ import annotations

import math

from environment.physics.native.functions import clamp, cross, load3, load9, maximum, minus, plus, store3, times, turned
from environment.physics.native.jit import inner
from environment.physics.native.lanes import fill, fma, load, select, store
from environment.physics.native.springs import limit_energy, limit_force, spring_force

# Simbody's: below it the first and third angle turn about the same axis, and the third is taken to be 0.
_SINGULAR_COSINE = 4 * 2.220446049250313e-16


@inner
def record(zero, tables, y, ydot, work, out, lanes):
    """Fills `out` (numbers, lanes) from the state, and from what `derivatives` left in `work` for it."""
    at = _record_coordinates(zero, tables, y, ydot, out)
    _accelerate_links(zero, tables.skeleton, work)
    at = _record_bodies(zero, tables.records, work, out, at, lanes)
    at = _record_forces(zero, tables, y, work, out, at)
    at = _record_muscles(zero, tables, y, ydot, work, out, at)
    _record_mass_center(zero, tables.skeleton, tables.records, work, out, at)


@inner
def _record_coordinates(zero, tables, y, ydot, out):
    records = tables.records
    dofs, number = len(tables.skeleton.dof_link), len(records.coordinate_dof)
    for i in range(number):
        dof = records.coordinate_dof[i]
        if dof >= 0:
            store(out, i, load(zero, y, dof))
            store(out, number + i, load(zero, y, dofs + dof))
            store(out, 2 * number + i, load(zero, ydot, dofs + dof))
        else:
            store(out, i, fill(zero, records.coordinate_locked_value[i]))
            store(out, number + i, zero)
            store(out, 2 * number + i, zero)
    return 3 * number


@inner
def _accelerate_links(zero, skeleton, work):
    """work.acceleration becomes the whole acceleration: the dofs' part is added, the ground's rise taken out."""
    dofs = len(skeleton.dof_link)
    for link in range(len(skeleton.parent)):
        parent = skeleton.parent[link]
        for row in range(6):
            change = load(zero, work.change, 6 * parent + row) if parent >= 0 else zero
            for dof in range(dofs):
                if skeleton.dof_link[dof] == link:
                    change = fma(load(zero, work.motion, 6 * dof + row), load(zero, work.udot, dof), change)
            store(work.change, 6 * link + row, change)
    gravity = skeleton.gravity_m_per_s2
    for link in range(len(skeleton.parent)):
        for row in range(6):
            whole = load(zero, work.acceleration, 6 * link + row) + load(zero, work.change, 6 * link + row)
            if row >= 3:
                whole = whole + gravity[row - 3]
            store(work.acceleration, 6 * link + row, whole)


@inner
def _point(zero, link, at, work):
    """(position in ground, velocity, acceleration) of a point given relative to the reference point."""
    omega, v = load3(zero, work.velocity, 6 * link), load3(zero, work.velocity, 6 * link + 3)
    alpha, a = load3(zero, work.acceleration, 6 * link), load3(zero, work.acceleration, 6 * link + 3)
    velocity = plus(v, cross(omega, at))
    acceleration = plus(plus(a, cross(alpha, at)), cross(omega, velocity))
    return plus(at, load3(zero, work.reference, 0)), velocity, acceleration


@inner
def _in_link(zero, link, location, row, work):
    """A point fixed in a link, relative to the reference point."""
    at = location[row, 0], location[row, 1], location[row, 2]
    return plus(load3(zero, work.position, 3 * link), turned(load9(zero, work.rotation, 9 * link), at))


@inner
def _record_bodies(zero, records, work, out, at, lanes):
    """Six groups over all bodies: place, velocity, acceleration of the origin, then the same of the rotation."""
    bodies = len(records.body_link)
    for body in range(bodies):
        link = records.body_link[body]
        first = at + 3 * body
        if link < 0:
            t, r = records.body_translation, records.body_rotation
            for k in range(3):
                for group in range(6):
                    store(out, first + 3 * bodies * group + k, zero)
                store(out, first + k, fill(zero, t[body, k]))
            for k in range(9):
                store(work.matrix, k, fill(zero, r[body, k]))
        else:
            origin = _in_link(zero, link, records.body_translation, body, work)
            place, velocity, acceleration = _point(zero, link, origin, work)
            store3(out, first, place)
            store3(out, first + 3 * bodies, velocity)
            store3(out, first + 6 * bodies, acceleration)
            store3(out, first + 12 * bodies, load3(zero, work.velocity, 6 * link))
            store3(out, first + 15 * bodies, load3(zero, work.acceleration, 6 * link))
            _place_matrix(zero, records, body, link, work)
        for lane in range(lanes):
            _record_angles(work.matrix, out, first + 9 * bodies, lane)
    return at + 18 * bodies


@inner
def _place_matrix(zero, records, body, link, work):
    """work.matrix: the body's rotation in ground."""
    rotation = load9(zero, work.rotation, 9 * link)
    f = records.body_rotation
    for column in range(3):
        v = turned(rotation, (f[body, column], f[body, 3 + column], f[body, 6 + column]))
        for row in range(3):
            store(work.matrix, 3 * row + column, v[row])


@inner
def _record_angles(matrix, out, at, lane):
    """Body-fixed X-Y-Z angles, as Simbody takes them from a rotation matrix R = Rx Ry Rz."""
    r00, r01, r02 = matrix[0, lane], matrix[1, lane], matrix[2, lane]
    r12, r22 = matrix[5, lane], matrix[8, lane]
    cosine = math.sqrt(0.5 * (r00 * r00 + r01 * r01 + r12 * r12 + r22 * r22))
    out[at + 1, lane] = math.atan2(r02, cosine)
    if cosine > _SINGULAR_COSINE:
        out[at, lane] = math.atan2(-r12, r22)
        out[at + 2, lane] = math.atan2(-r01, r00)
    else:
        sign = 1.0 if r02 > 0.0 else -1.0
        r10, r11, r20, r21 = matrix[3, lane], matrix[4, lane], matrix[6, lane], matrix[7, lane]
        out[at, lane] = math.atan2(r21 + sign * r10, r11 - sign * r20)
        out[at + 2, lane] = 0.0


@inner
def _record_forces(zero, tables, y, work, out, at):
    records, springs = tables.records, tables.springs
    dofs = len(tables.skeleton.dof_link)
    for force in range(len(records.force_kind)):
        kind, number = records.force_kind[force], records.force_number[force]
        if kind == 0:
            store(out, at, load(zero, work.tendon, number))
            at += 1
        elif kind == 1:
            at = _record_contact(zero, tables, number, work, out, at)
        elif kind == 2:
            dof, speed = springs.limit_dof[number], zero
            q = fill(zero, springs.limit_locked_value[number])
            if dof >= 0:
                q, speed = load(zero, y, dof), load(zero, y, dofs + dof)
            store(out, at, limit_force(zero, springs, number, q, speed))
            store(out, at + 1, limit_energy(springs, number, q))
            at += 2
        else:
            dof, speed = springs.spring_dof[number], zero
            q = fill(zero, springs.spring_locked_value[number])
            if dof >= 0:
                q, speed = load(zero, y, dof), load(zero, y, dofs + dof)
            store(out, at, spring_force(springs, number, q, speed))
            at += 1
    return at


@inner
def _record_contact(zero, tables, contact, work, out, at):
    """Force and torque for each geometry: on the floor about ground's origin, on a sphere's body about its origin.

    As in OpenSim a sphere shows the total on its body, so two spheres on one body show the same six numbers.
    """
    contacts, records = tables.contacts, tables.records
    first, end = contacts.sphere_start[contact], contacts.sphere_start[contact + 1]
    reference = load3(zero, work.reference, 0)
    for geometry in range(records.geometry_start[contact], records.geometry_start[contact + 1]):
        sphere = records.geometry_sphere[geometry]
        force, torque = (zero, zero, zero), (zero, zero, zero)
        origin = times(reference, -1.0)
        if sphere >= 0 and contacts.sphere_link[sphere] >= 0:
            body = records.sphere_body[sphere]
            origin = _in_link(zero, records.body_link[body], records.body_translation, body, work)
        for other in range(first, end):
            if sphere < 0 or records.sphere_body[other] == records.sphere_body[sphere]:
                push = load3(zero, work.contact, 3 * other)
                arm = minus(load3(zero, work.contact_point, 3 * other), origin)
                force, torque = plus(force, push), plus(torque, cross(arm, push))
        sign = -1.0 if sphere < 0 else 1.0
        store3(out, at, times(force, sign))
        store3(out, at + 3, times(torque, sign))
        at += 6
    return at


@inner
def _record_muscles(zero, tables, y, ydot, work, out, at):
    """Activation and fibre length as the equations take them, fibre velocity, force along the fibre."""
    muscles, dofs = tables.muscles, len(tables.skeleton.dof_link)
    number = len(muscles.max_isometric_force_n)
    for muscle in range(number):
        activation, fiber = load(zero, y, 2 * dofs + muscle), load(zero, y, 2 * dofs + number + muscle)
        cosine = load(zero, work.cosine, muscle)
        force = load(zero, work.tendon, muscle) / cosine
        store(out, at, clamp(activation, muscles.minimum_activation[muscle], 1.0))
        store(out, at + 1, maximum(fiber, fill(zero, muscles.minimum_fiber_length_m[muscle])))
        store(out, at + 2, load(zero, ydot, 2 * dofs + number + muscle))
        store(out, at + 3, select(cosine > 0.0, force, zero))
        at += 4
    return at


@inner
def _record_mass_center(zero, skeleton, records, work, out, at):
    total = records.fixed_mass_kg[0]
    fixed = records.fixed_mass_center_m
    place = zero + total * fixed[0, 0], zero + total * fixed[0, 1], zero + total * fixed[0, 2]
    velocity, acceleration = (zero, zero, zero), (zero, zero, zero)
    for link in range(len(skeleton.parent)):
        mass = skeleton.mass_kg[link]
        total += mass
        p, v, a = _point(zero, link, _in_link(zero, link, skeleton.mass_center_m, link, work), work)
        place, velocity = plus(place, times(p, mass)), plus(velocity, times(v, mass))
        acceleration = plus(acceleration, times(a, mass))
    store3(out, at, times(place, 1.0 / total))
    store3(out, at + 3, times(velocity, 1.0 / total))
    store3(out, at + 6, times(acceleration, 1.0 / total))
