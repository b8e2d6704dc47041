"""Accelerations of the tree under given forces: composite inertias, then a factorisation without fill-in.

Featherstone (2008): composite-rigid-body algorithm (chapter 6) and the LᵀDL factorisation that keeps the zeros between
separate branches (section 6.5).
"""

from __future__ import annotations

from environment.physics.native.functions import cross, dot, load3, load9, minus, plus, store3, times, turned
from environment.physics.native.jit import inner
from environment.physics.native.lanes import fill, fma, load, store

# Rows of a spatial inertia: xx, yy, zz, xy, xz, yz about the reference point; mass times mass centre; mass.
INERTIA_ROWS = 10


@inner
def place_inertias(zero, skeleton, work):
    """Spatial inertias of the links, and the force that their velocity-dependent accelerations need."""
    for link in range(len(skeleton.parent)):
        rotation = load9(zero, work.rotation, 9 * link)
        mass = skeleton.mass_kg[link]
        c = skeleton.mass_center_m
        center = plus(turned(rotation, (c[link, 0], c[link, 1], c[link, 2])), load3(zero, work.position, 3 * link))
        _place_inertia(skeleton, link, rotation, mass, center, work)
        store3(work.inertia, INERTIA_ROWS * link + 6, times(center, mass))
        store(work.inertia, INERTIA_ROWS * link + 9, fill(zero, mass))
        _place_force(zero, link, work)


@inner
def _place_inertia(skeleton, link, rotation, mass, center, work):
    i = skeleton.inertia_kg_m2
    xx, yy, zz, xy, xz, yz = i[link, 0], i[link, 1], i[link, 2], i[link, 3], i[link, 4], i[link, 5]
    r0, r1, r2 = rotation[0:3], rotation[3:6], rotation[6:9]
    # Rows of R I.
    a0 = (dot(r0, (xx, xy, xz)), dot(r0, (xy, yy, yz)), dot(r0, (xz, yz, zz)))
    a1 = (dot(r1, (xx, xy, xz)), dot(r1, (xy, yy, yz)), dot(r1, (xz, yz, zz)))
    a2 = (dot(r2, (xx, xy, xz)), dot(r2, (xy, yy, yz)), dot(r2, (xz, yz, zz)))
    x, y, z = center
    mx, my, mz = mass * x, mass * y, mass * z
    row = INERTIA_ROWS * link
    store(work.inertia, row, dot(a0, r0) + fma(my, y, mz * z))
    store(work.inertia, row + 1, dot(a1, r1) + fma(mx, x, mz * z))
    store(work.inertia, row + 2, dot(a2, r2) + fma(mx, x, my * y))
    store(work.inertia, row + 3, dot(a0, r1) - mx * y)
    store(work.inertia, row + 4, dot(a0, r2) - mx * z)
    store(work.inertia, row + 5, dot(a1, r2) - my * z)


@inner
def _times_inertia(zero, work, link, angular, linear):
    """(angular momentum, momentum) of a spatial velocity; likewise force of an acceleration."""
    row = INERTIA_ROWS * link
    xx, yy, zz = load3(zero, work.inertia, row)
    xy, xz, yz = load3(zero, work.inertia, row + 3)
    h = load3(zero, work.inertia, row + 6)
    mass = load(zero, work.inertia, row + 9)
    turned_part = dot((xx, xy, xz), angular), dot((xy, yy, yz), angular), dot((xz, yz, zz), angular)
    return plus(turned_part, cross(h, linear)), minus(times(linear, mass), cross(h, angular))


@inner
def _place_force(zero, link, work):
    """work.force = I a + v x* I v"""
    omega, v = load3(zero, work.velocity, 6 * link), load3(zero, work.velocity, 6 * link + 3)
    alpha, a = load3(zero, work.acceleration, 6 * link), load3(zero, work.acceleration, 6 * link + 3)
    torque, force = _times_inertia(zero, work, link, alpha, a)
    spin, momentum = _times_inertia(zero, work, link, omega, v)
    store3(work.force, 6 * link, plus(torque, plus(cross(omega, spin), cross(v, momentum))))
    store3(work.force, 6 * link + 3, plus(force, cross(omega, momentum)))


@inner
def accelerate(zero, skeleton, work):
    """work.udot from work.force (what the links need less what acts on them) and work.push (on dofs)."""
    dofs = len(skeleton.dof_link)
    for link in range(len(skeleton.parent) - 1, -1, -1):
        parent = skeleton.parent[link]
        if parent >= 0:
            for row in range(INERTIA_ROWS):
                inner = load(zero, work.inertia, INERTIA_ROWS * link + row)
                outer = load(zero, work.inertia, INERTIA_ROWS * parent + row)
                store(work.inertia, INERTIA_ROWS * parent + row, inner + outer)
            for row in range(6):
                inner, outer = load(zero, work.force, 6 * link + row), load(zero, work.force, 6 * parent + row)
                store(work.force, 6 * parent + row, inner + outer)
    for dof in range(dofs):
        link = skeleton.dof_link[dof]
        angular, linear = load3(zero, work.motion, 6 * dof), load3(zero, work.motion, 6 * dof + 3)
        needed = dot(angular, load3(zero, work.force, 6 * link)) + dot(linear, load3(zero, work.force, 6 * link + 3))
        store(work.udot, dof, load(zero, work.push, dof) - needed)
        torque, force = _times_inertia(zero, work, link, angular, linear)
        other = dof
        while other >= 0:
            angular, linear = load3(zero, work.motion, 6 * other), load3(zero, work.motion, 6 * other + 3)
            store(work.mass, dofs * dof + other, dot(angular, torque) + dot(linear, force))
            other = skeleton.dof_parent[other]
    _factorise(zero, skeleton, work)
    _substitute(zero, skeleton, work)


@inner
def _factorise(zero, skeleton, work):
    """work.mass (lower triangle) becomes L below the diagonal and 1 / D on it, with M = LᵀDL."""
    dofs = len(skeleton.dof_link)
    for k in range(dofs - 1, -1, -1):
        inverse = 1.0 / load(zero, work.mass, dofs * k + k)
        store(work.mass, dofs * k + k, inverse)
        i = skeleton.dof_parent[k]
        while i >= 0:
            entry = load(zero, work.mass, dofs * k + i)
            factor = entry * inverse
            j = i
            while j >= 0:
                old = load(zero, work.mass, dofs * i + j)
                store(work.mass, dofs * i + j, fma(-factor, load(zero, work.mass, dofs * k + j), old))
                j = skeleton.dof_parent[j]
            store(work.mass, dofs * k + i, factor)
            i = skeleton.dof_parent[i]


@inner
def _substitute(zero, skeleton, work):
    """Solves LᵀDL x = work.udot in place."""
    dofs = len(skeleton.dof_link)
    for i in range(dofs - 1, -1, -1):
        value = load(zero, work.udot, i)
        j = skeleton.dof_parent[i]
        while j >= 0:
            old = load(zero, work.udot, j)
            store(work.udot, j, fma(-load(zero, work.mass, dofs * i + j), value, old))
            j = skeleton.dof_parent[j]
    for i in range(dofs):
        value = load(zero, work.udot, i) * load(zero, work.mass, dofs * i + i)
        j = skeleton.dof_parent[i]
        while j >= 0:
            value = fma(-load(zero, work.mass, dofs * i + j), load(zero, work.udot, j), value)
            j = skeleton.dof_parent[j]
        store(work.udot, i, value)
