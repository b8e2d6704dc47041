"""The right-hand side: ẏ of a body's state y = (q, q̇, activations, fibre lengths) under excitations."""

from __future__ import annotations

from environment.physics.native.contacts import press
from environment.physics.native.jit import inner
from environment.physics.native.lanes import load, select, store
from environment.physics.native.muscles import activation_rate, contract
from environment.physics.native.paths import path_length, place_points, pull
from environment.physics.native.skeleton import place_links
from environment.physics.native.solve import accelerate, place_inertias
from environment.physics.native.springs import push_coordinates


@inner
def derivatives(zero, tables, y, excitation, skip, work, ydot, at):
    """Sets the rows of `ydot` from `at` on; `work` keeps everything that led there.

    y: (2 D + 2 M, lanes) coordinates, speeds, activations, fibre lengths. excitation: (M, lanes).
    """
    skeleton, muscles = tables.skeleton, tables.muscles
    dofs, number = len(skeleton.dof_link), len(muscles.max_isometric_force_n)
    place_links(zero, tables, y, work)
    place_inertias(zero, skeleton, work)
    place_points(zero, tables, y, work)
    push_coordinates(zero, tables.springs, y, dofs, work)
    press(zero, tables.contacts, skip, work)
    for muscle in range(number):
        activation, fiber = load(zero, y, 2 * dofs + muscle), load(zero, y, 2 * dofs + number + muscle)
        length = path_length(zero, tables.paths, muscle, work)
        tendon, velocity, cosine, stopped = contract(muscles, muscle, length, activation, fiber)
        pull(zero, tables.paths, muscle, tendon, work)
        rate = activation_rate(muscles, muscle, activation, load(zero, excitation, muscle))
        store(ydot, at + 2 * dofs + muscle, rate)
        store(ydot, at + 2 * dofs + number + muscle, velocity)
        store(work.tendon, muscle, tendon)
        store(work.cosine, muscle, select(stopped, zero, cosine))
    accelerate(zero, skeleton, work)
    for dof in range(dofs):
        store(ydot, at + dof, load(zero, y, dofs + dof))
        store(ydot, at + dofs + dof, load(zero, work.udot, dof))
