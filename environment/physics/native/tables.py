"""The compiled form of a `BodyModel`: named tuples of arrays, which machine code reads. `compilation/` fills them.

Links are the parts that move: bodies that are welded together, or whose joint is locked, are one link. Degrees of
freedom ("dofs") are the coordinates that are not locked. -1 stands for ground among links and for "none" among dofs.
Lengths L links, D dofs, M muscles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Splines(NamedTuple):
    """All splines of the model, one after the other."""

    knots: Floats
    knot_start: Integers
    """Of each spline, and the end of the last."""
    pieces: Floats
    """Flat (pieces, 5), see `splines.pieces`."""
    piece_start: Integers


class Skeleton(NamedTuple):
    """Links and their joints. A joint moves along axes fixed in its parent frame, then turns about axes one by one."""

    parent: Integers
    """(L,)"""
    frame_rotation: Floats
    """(L, 9) the joint's frame in the parent link."""
    frame_translation: Floats
    """(L, 3)"""
    axis_start: Integers
    """(L + 1,) into the axes."""
    turn_start: Integers
    """(L,) the first of a link's axes that turns; those before it move."""
    axis_direction: Floats
    """(A, 3) unit vectors."""
    axis_aligned: Integers
    """(A,) 0, 1 or 2 when the direction is x, y or z; else -1."""
    axis_dof: Integers
    axis_spline: Integers
    """-1 for a linear function."""
    axis_slope: Floats
    """Of a linear function; multiplies a spline."""
    axis_intercept: Floats
    mass_kg: Floats
    """(L,)"""
    mass_center_m: Floats
    """(L, 3) in the link's frame."""
    inertia_kg_m2: Floats
    """(L, 6) xx, yy, zz, xy, xz, yz about the mass centre, in the link's axes."""
    dof_link: Integers
    """(D,) the link that it moves."""
    dof_parent: Integers
    """(D,) the next dof towards ground, -1 for none. Dofs are ordered so that parents have smaller numbers."""
    gravity_m_per_s2: Floats


class Paths(NamedTuple):
    """Muscle paths. Points are those between which length changes; the rest is in `fixed_length_m`."""

    point_link: Integers
    """(P,)"""
    point_location_m: Floats
    """(P, 3) in the link; of a moving point unused."""
    moving_point: Integers
    """(V,) which points move."""
    moving_frame_rotation: Floats
    """(V, 9) the point's body in its link."""
    moving_frame_translation: Floats
    moving_dof: Integers
    """(V, 3) of each component; -1 for a constant."""
    moving_spline: Integers
    """(V, 3); -1 for a linear function."""
    moving_slope: Floats
    moving_intercept: Floats
    moving_low: Floats
    """(V, 3) range of the coordinate; the location goes no further."""
    moving_high: Floats
    condition_dof: Integers
    """(C,) of the points that are there only while a coordinate is in a range."""
    condition_low: Floats
    condition_high: Floats
    segment_start: Integers
    """(M + 1,) into the segments: a muscle's straight pieces, those that exist only at times included."""
    segment_from: Integers
    """Point."""
    segment_to: Integers
    segment_pulls: Integers
    """0 when both ends are on one body: it counts for length, and pulls nothing."""
    segment_from_moving: Integers
    """Moving point (0..V-1) at that end, or -1."""
    segment_to_moving: Integers
    need_start: Integers
    """(segments + 1,) into the needs: a segment exists while all of its needs are met."""
    need_condition: Integers
    need_present: Integers
    """1: the condition must hold, 0: it must not."""
    fixed_length_m: Floats
    """(M,)"""


class Muscles(NamedTuple):
    """Constants of Thelen's model, (M,) each."""

    max_isometric_force_n: Floats
    optimal_fiber_length_m: Floats
    tendon_slack_length_m: Floats
    fiber_height_m: Floats
    """l_opt sin φ_opt, which stays."""
    minimum_fiber_length_m: Floats
    cos_maximum_pennation: Floats
    max_velocity_m_per_s: Floats
    activation_time_s: Floats
    deactivation_time_s: Floats
    minimum_activation: Floats
    toe_strain: Floats
    tendon_slope: Floats
    active_width: Floats
    passive_rate: Floats
    """KshapePassive / FmaxMuscleStrain."""
    passive_scale: Floats
    """1 / (exp KshapePassive - 1)."""
    af: Floats
    flen: Floats
    threshold: Floats
    default_activation: Floats


class Contacts(NamedTuple):
    """Hunt-Crossley forces and their spheres."""

    sphere_start: Integers
    """(forces + 1,)"""
    sphere_link: Integers
    sphere_center_m: Floats
    """(spheres, 3) in the link."""
    sphere_radius_m: Floats
    floor_height_m: Floats
    """(forces,)"""
    stiffness: Floats
    """(forces,) of the pair: half of the two thirds' power of the file's."""
    dissipation_s_per_m: Floats
    static_friction: Floats
    dynamic_friction: Floats
    viscous_friction: Floats
    transition_velocity_m_per_s: Floats


class Springs(NamedTuple):
    """Coordinate limit forces and generalised springs. `dof` -1: the coordinate is locked, at `locked_value`."""

    limit_dof: Integers
    limit_locked_value: Floats
    upper_limit: Floats
    upper_stiffness: Floats
    lower_limit: Floats
    lower_stiffness: Floats
    damping: Floats
    transition: Floats
    spring_dof: Integers
    spring_locked_value: Floats
    stiffness: Floats
    rest: Floats
    viscosity: Floats


class Records(NamedTuple):
    """Where the numbers of the state vector come from, in its order."""

    coordinate_dof: Integers
    """All coordinates, in joint order; -1 for locked ones."""
    coordinate_locked_value: Floats
    body_link: Integers
    body_rotation: Floats
    """(bodies, 9) of each body's frame in its link."""
    body_translation: Floats
    force_kind: Integers
    """Of every force in file order: 0 muscle, 1 contact, 2 limit, 3 spring."""
    force_number: Integers
    """Among those of its kind."""
    geometry_start: Integers
    """(contact forces + 1,) into the geometry of the contact forces, in file order."""
    geometry_sphere: Integers
    """Sphere number, or -1 for the half-space."""
    sphere_body: Integers
    fixed_mass_kg: Floats
    """(1,) of the bodies that are welded to ground."""
    fixed_mass_center_m: Floats
    """(1, 3)"""


class Tables(NamedTuple):
    """A whole model."""

    splines: Splines
    skeleton: Skeleton
    paths: Paths
    muscles: Muscles
    contacts: Contacts
    springs: Springs
    records: Records
