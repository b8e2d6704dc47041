"""Spheres on the floor: Hunt and Crossley's contact (1975) with the friction of Simbody (Apache-2.0)."""

from __future__ import annotations

from environment.physics.native.functions import cross, load3, load9, minimum, plus, store3, turned
from environment.physics.native.jit import inner
from environment.physics.native.lanes import absolute, fill, fma, load, select, some, sqrt, store


@inner
def press(zero, contacts, skip, work):
    """Contact forces: into `work.contact` (force on the sphere's body, N), and onto the links.

    `skip` is Simbody's rule that a sphere which is in the floor but rises so fast that it is not pushed keeps the
    later spheres of the same force from being pushed.
    """
    for force in range(len(contacts.sphere_start) - 1):
        first, end = contacts.sphere_start[force], contacts.sphere_start[force + 1]
        lifted = zero
        for sphere in range(first, end):
            lifted = lifted + _press_sphere(zero, contacts, force, sphere, work)
        if skip and some(lifted > 0.0):
            _skip_later(zero, contacts, force, first, end, work)
        for sphere in range(first, end):
            link = contacts.sphere_link[sphere]
            if link >= 0:
                at = load3(zero, work.contact_point, 3 * sphere)
                push = load3(zero, work.contact, 3 * sphere)
                moment = cross(at, push)
                for k in range(3):
                    row = 6 * link + k
                    store(work.force, row, load(zero, work.force, row) - moment[k])
                    store(work.force, row + 3, load(zero, work.force, row + 3) - push[k])


@inner
def _press_sphere(zero, contacts, force, sphere, work):
    """Contact of one sphere; 1 where it is in the floor and yet not pushed, else 0."""
    link = contacts.sphere_link[sphere]
    c = contacts.sphere_center_m
    center = fill(zero, c[sphere, 0]), fill(zero, c[sphere, 1]), fill(zero, c[sphere, 2])
    reference = load3(zero, work.reference, 0)
    if link >= 0:
        center = plus(load3(zero, work.position, 3 * link), turned(load9(zero, work.rotation, 9 * link), center))
        height = center[1] + reference[1]
    else:
        height = center[1]
        center = center[0] - reference[0], center[1] - reference[1], center[2] - reference[2]
    radius = contacts.sphere_radius_m[sphere]
    depth = radius - (height - contacts.floor_height_m[force])
    store3(work.sphere, 3 * sphere, center)
    inside = depth > 0.0
    if not some(inside):
        store3(work.contact, 3 * sphere, (zero, zero, zero))
        store3(work.contact_point, 3 * sphere, center)
        store(work.lifted, sphere, zero)
        return zero
    # Half of the depth is the floor's, half the sphere's: they are equally stiff.
    at = center[0], center[1] - (height - contacts.floor_height_m[force]) - 0.5 * depth, center[2]
    v = (zero, zero, zero)
    if link >= 0:
        v = plus(load3(zero, work.velocity, 6 * link + 3), cross(load3(zero, work.velocity, 6 * link), at))
    deep = select(inside, depth, zero)
    stiffness = contacts.stiffness[force]
    spring = (4.0 / 3.0 * stiffness) * deep * sqrt((radius * stiffness) * deep)
    normal = spring * fma(v[1], -1.5 * contacts.dissipation_s_per_m[force], zero + 1.0)
    pushed = inside & (normal > 0.0)
    normal = select(pushed, normal, zero)
    slip = sqrt(fma(v[0], v[0], v[2] * v[2]))
    pull = select(slip > 0.0, normal * _friction(zero, contacts, force, slip) / slip, zero)
    store3(work.contact, 3 * sphere, (-(pull * v[0]), normal, -(pull * v[2])))
    store3(work.contact_point, 3 * sphere, at)
    lifted = select(inside & ~pushed, zero + 1.0, zero)
    store(work.lifted, sphere, lifted)
    return lifted


@inner
def _friction(zero, contacts, force, slip):
    """Coefficient of friction at a slip speed (m/s)."""
    dynamic = contacts.dynamic_friction[force]
    relative = slip * (1.0 / contacts.transition_velocity_m_per_s[force])
    bump = 2.0 * (contacts.static_friction[force] - dynamic) / fma(relative, relative, zero + 1.0)
    return fma(minimum(relative, zero + 1.0), dynamic + bump, contacts.viscous_friction[force] * slip)


@inner
def _skip_later(zero, contacts, force, first, end, work):
    """Takes the force off the spheres that Simbody visits after one that is in the floor and not pushed.

    It visits them from low to high along the axis in which the centres, the floor's origin among them, spread most.
    """
    reference = load3(zero, work.reference, 0)
    floor = -reference[0], contacts.floor_height_m[force] - reference[1], -reference[2]
    spread_x = _spread(zero, first, end, 0, floor[0], work)
    spread_y = _spread(zero, first, end, 1, floor[1], work)
    spread_z = _spread(zero, first, end, 2, floor[2], work)
    along_y = (spread_y >= spread_x) & ~(spread_z > spread_y)
    along_z = (spread_z > spread_y) & (spread_z > spread_x)
    for later in range(first, end):
        key = _key(zero, contacts, later, along_y, along_z, work)
        hidden = zero
        for other in range(first, end):
            if other == later:
                continue
            lifted = load(zero, work.lifted, other) > 0.0
            other_key = _key(zero, contacts, other, along_y, along_z, work)
            before = (other_key <= key) if other < later else (other_key < key)
            hidden = select(lifted & before, zero + 1.0, hidden)
        for k in range(3):
            push = load(zero, work.contact, 3 * later + k)
            store(work.contact, 3 * later + k, select(hidden > 0.0, zero, push))


@inner
def _spread(zero, first, end, k, floor, work):
    """Sum of the distances from the mean along axis k, over the spheres' centres and the floor's origin."""
    number = end - first + 1
    mean = floor
    for sphere in range(first, end):
        mean = mean + load(zero, work.sphere, 3 * sphere + k)
    mean = mean * (1.0 / number)
    spread = absolute(floor - mean)
    for sphere in range(first, end):
        spread = spread + absolute(load(zero, work.sphere, 3 * sphere + k) - mean)
    return spread


@inner
def _key(zero, contacts, sphere, along_y, along_z, work):
    x, y, z = load3(zero, work.sphere, 3 * sphere)
    return select(along_z, z, select(along_y, y, x)) - contacts.sphere_radius_m[sphere]
