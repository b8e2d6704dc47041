"""Fibre lengths at which a resting muscle's fibre and tendon pull alike."""

from __future__ import annotations

from environment.physics.native.functions import maximum
from environment.physics.native.jit import inner
from environment.physics.native.lanes import fill, load, select, store
from environment.physics.native.muscles import contract
from environment.physics.native.paths import path_length, place_points
from environment.physics.native.skeleton import place_links

# Halvings of the bracket: more than a float64 has digits.
_HALVINGS = 80


@inner
def settle(zero, tables, y, work):
    """Sets the fibre lengths in `y` so that no fibre moves, at the coordinates and activations in `y`.

    A fibre that is too short is pulled longer by its tendon and one that is too long shortens, so the balance is
    between its minimum length and the length at which the tendon is slack.
    """
    muscles = tables.muscles
    dofs, number = len(tables.skeleton.dof_link), len(muscles.max_isometric_force_n)
    place_links(zero, tables, y, work)
    place_points(zero, tables, y, work)
    for muscle in range(number):
        path = path_length(zero, tables.paths, muscle, work)
        activation = load(zero, y, 2 * dofs + muscle)
        shortest = max(muscles.minimum_fiber_length_m[muscle], 1e-6 * muscles.optimal_fiber_length_m[muscle])
        low = fill(zero, shortest)
        high = maximum(path, low)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            _, velocity, _, _ = contract(muscles, muscle, path, activation, middle)
            lengthens = velocity > 0.0
            low, high = select(lengthens, middle, low), select(lengthens, high, middle)
        # A slack tendon lengthens no fibre: it rests at its minimum.
        store(y, 2 * dofs + number + muscle, select(low > shortest, 0.5 * (low + high), shortest))
