"""Scratch memory of one call: arrays of (rows, lanes), each row one number of the body in each lane."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from environment.physics.native.solve import INERTIA_ROWS
from environment.physics.native.tables import Floats, Integers, Tables

_CACHE_LINE_BYTES = 64


class Work(NamedTuple):
    """What one evaluation of the equations of motion leaves behind. Ground's axes; places relative to `reference`."""

    reference: Floats
    """(3) origin of the first link, in ground."""
    rotation: Floats
    """(9 L)"""
    position: Floats
    """(3 L)"""
    velocity: Floats
    """(6 L) spatial, about the reference point."""
    acceleration: Floats
    """(6 L) the part without the dofs' accelerations, ground rising at 1 g."""
    motion: Floats
    """(6 D) spatial velocity per unit of a dof's speed."""
    inertia: Floats
    """(10 L), see solve.py; after solving, of the link and all that hangs on it."""
    force: Floats
    """(6 L) spatial force that a link still needs."""
    push: Floats
    """(D) generalised forces."""
    mass: Floats
    """(D D)"""
    udot: Floats
    """(D)"""
    point: Floats
    """(3 P) of muscle paths."""
    point_slope: Floats
    """(3 V) per unit of a moving point's coordinate."""
    condition: Floats
    """(C) 1 where it holds."""
    direction: Floats
    """(3 segments) unit vectors along the path."""
    sphere: Floats
    """(3 spheres) centres."""
    contact: Floats
    """(3 spheres) force."""
    contact_point: Floats
    """(3 spheres)"""
    lifted: Floats
    """(spheres) 1 where it is in the floor and not pushed."""
    tendon: Floats
    """(M) tendon force in N."""
    cosine: Floats
    """(M) of the pennation angle; 0 where the fibre is held at its minimum length."""
    change: Floats
    """(6 L) the dofs' part of the links' accelerations."""
    matrix: Floats
    """(9) scratch."""
    finite: Floats
    """(1) 1 where all numbers of the state are finite."""
    record: Floats
    """(S) the whole state."""


def workspace(tables: Tables, size: int, width: int) -> Work:
    """Scratch memory for a model with `size` numbers in its whole state, in `width` lanes."""
    links, dofs = len(tables.skeleton.parent), len(tables.skeleton.dof_link)
    paths, spheres = tables.paths, len(tables.contacts.sphere_link)
    muscles = len(tables.muscles.max_isometric_force_n)
    rows = {
        "reference": 3,
        "rotation": 9 * links,
        "position": 3 * links,
        "velocity": 6 * links,
        "acceleration": 6 * links,
        "motion": 6 * dofs,
        "inertia": INERTIA_ROWS * links,
        "force": 6 * links,
        "push": dofs,
        "mass": dofs * dofs,
        "udot": dofs,
        "point": 3 * len(paths.point_link),
        "point_slope": 3 * len(paths.moving_point),
        "condition": len(paths.condition_dof),
        "direction": 3 * len(paths.segment_from),
        "sphere": 3 * spheres,
        "contact": 3 * spheres,
        "contact_point": 3 * spheres,
        "lifted": spheres,
        "tendon": muscles,
        "cosine": muscles,
        "change": 6 * links,
        "matrix": 9,
        "finite": 1,
        "record": size,
    }
    return Work(**{name: _zeros(number, width) for name, number in rows.items()})


def _zeros(*shape: int, dtype: type = np.float64) -> NDArray[Any]:
    """An array that begins with a line of the processor's cache: a row of eight lanes is one, and no thread's
    array shares one with another's."""
    size = math.prod(shape)
    room: NDArray[Any] = np.zeros(size + _CACHE_LINE_BYTES // 8, dtype)
    start = -room.ctypes.data % _CACHE_LINE_BYTES // 8
    return room[start : start + size].reshape(shape)


class Run(NamedTuple):
    """The bodies in the lanes on their way through time."""

    y: Floats
    """(2 D + 2 M, lanes)"""
    trial: Floats
    """(2 D + 2 M, lanes) a stage's state; after the last stage, the step's result."""
    slope: Floats
    """(stages (2 D + 2 M), lanes)"""
    excitation: Floats
    """(M, lanes)"""
    step: Floats
    """(1, lanes) seconds that are tried."""
    error: Floats
    """(1, lanes) mean square of the step's error over the allowed one."""
    accepted: Floats
    """(1, lanes) 1 or 0."""
    preferred: Floats
    """(lanes,) step size, s."""
    remaining: Floats
    """(lanes,) s."""
    strictness: Floats
    """(lanes,) see `Bodies.strictness`."""
    body: Integers
    """(lanes,) number of the body in the lane, -1 when idle."""
    status: Integers
    """(lanes,)"""
    fresh: Integers
    """(lanes,) 1: its slope at the start is not known yet."""
    evaluations: Integers
    """(lanes,) of the right-hand side, for this body."""


def running(tables: Tables, stages: int, width: int) -> Run:
    """Room for `width` bodies."""
    muscles = len(tables.muscles.max_isometric_force_n)
    numbers = 2 * len(tables.skeleton.dof_link) + 2 * muscles
    return Run(
        y=_zeros(numbers, width),
        trial=_zeros(numbers, width),
        slope=_zeros(stages * numbers, width),
        excitation=_zeros(muscles, width),
        step=_zeros(1, width),
        error=_zeros(1, width),
        accepted=_zeros(1, width),
        preferred=_zeros(width),
        remaining=_zeros(width),
        strictness=_zeros(width),
        body=_zeros(width, dtype=np.int64),
        status=_zeros(width, dtype=np.int64),
        fresh=_zeros(width, dtype=np.int64),
        evaluations=_zeros(width, dtype=np.int64),
    )


class Bodies(NamedTuple):
    """Many bodies between two calls."""

    y: Floats
    """(bodies, 2 D + 2 M)"""
    ydot: Floats
    """(bodies, 2 D + 2 M) at `y`."""
    excitation: Floats
    """(bodies, M)"""
    step_size_s: Floats
    """(bodies,) that the integrator would take next."""
    strictness: Floats
    """(bodies,) what a step's mean square error counts: 1 at the settings' accuracy, 4 at half of it."""
    stale: Integers
    """(bodies,) 1: the slope at the start of a call is that of the previous excitation."""
    failed: Integers
    """(bodies,) 0, or why the last call could not finish: 1 no step was short enough, 2 too many evaluations, 3 a
    number is not finite."""
    asked: Integers
    """(bodies,) numbers of the bodies that the present call is about."""
    queue: Integers
    """(2,) places in `asked` up to which bodies were taken: to move, and to describe."""
    evaluations: Integers
    """(bodies,) of the right-hand side so far."""
    state: Floats
    """(bodies, S) the whole state, see `layout.py`."""


def bodies(tables: Tables, number: int, size: int) -> Bodies:
    """Room for `number` bodies with `size` numbers in their whole state."""
    muscles = len(tables.muscles.max_isometric_force_n)
    numbers = 2 * len(tables.skeleton.dof_link) + 2 * muscles
    return Bodies(
        y=np.zeros((number, numbers)),
        ydot=np.zeros((number, numbers)),
        excitation=np.zeros((number, muscles)),
        step_size_s=np.zeros(number),
        strictness=np.ones(number),
        stale=np.zeros(number, np.int64),
        failed=np.zeros(number, np.int64),
        asked=np.zeros(number, np.int64),
        queue=np.zeros(2, np.int64),
        evaluations=np.zeros(number, np.int64),
        state=np.zeros((number, size)),
    )
