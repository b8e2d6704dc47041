"""When each foot stands, and the steps between: from the ground's forces and the places of the heels."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from agents.gait.feet import LEGS, Array, Feet
from environment.state import StateLayout
from environment.timestep import CONTROL_STEP_S

Float64 = NDArray[np.float64]

CONTACT_BODY_WEIGHTS = 0.05
"""A foot that carries less than this does not stand."""
SHORTEST_STEPS = 5
"""Control steps. Shorter stances and swings are the foot's bouncing, not walking."""
SETTLING_STEPS = 100
"""Control steps from the reset whose strikes do not count: the body starts from standing."""
CYCLE_POINTS = 51
"""Of a gait cycle, from a strike of the heel to its next."""
_DIRECTION_STEPS = 100
_SLOWEST_M = 0.01


@dataclass(slots=True)
class LegSteps:
    """What one leg did, over all episodes that were added: one number for each step, stride or stance."""

    step_length_m: list[float] = field(default_factory=list)
    """From the other heel to this one when this foot strikes, in the direction of the walk."""
    stride_length_m: list[float] = field(default_factory=list)
    """From one strike of this heel to its next, seen from above."""
    stride_s: list[float] = field(default_factory=list)
    stance_share: list[float] = field(default_factory=list)
    """Of a stride that the foot stands."""
    peak_body_weights: list[float] = field(default_factory=list)
    """The largest vertical force of every stance."""
    cycles: list[Float64] = field(default_factory=list)
    """(CYCLE_POINTS,) vertical force in body weights over every stride."""


def steps_of(layout: StateLayout, states: Array, body_weight_n: float) -> dict[str, LegSteps]:
    """What each leg did in one episode, of its states (T+1, S). Raises: ValueError for a body without known feet."""
    feet = Feet(layout)
    pelvis = states[:, layout.where("body_pos/pelvis")].astype(np.float64)[:, [0, 2]]
    heels = {leg: feet.heel_m(states, leg)[:, [0, 2]] for leg in LEGS}
    found = {}
    for leg, other in zip(LEGS, reversed(LEGS), strict=True):
        load = feet.load_n(states, leg) / body_weight_n
        found[leg] = _leg(load, heels[leg], heels[other], pelvis)
    return found


def standing(load_body_weights: Float64) -> NDArray[np.bool_]:
    """(T,) when a foot stands, of its vertical load (T,) in body weights; bounces are smoothed away."""
    stands = load_body_weights >= CONTACT_BODY_WEIGHTS
    for value in (False, True):  # first swings that are too short become stance, then stances swing
        for start, stop in _stretches(stands == value):
            inside = start > 0 and stop < len(stands)
            if inside and stop - start < SHORTEST_STEPS:
                stands[start:stop] = not value
    return stands


def _leg(load: Float64, heel: Float64, other: Float64, pelvis: Float64) -> LegSteps:
    stances = [(start, stop) for start, stop in _stretches(standing(load)) if start >= SETTLING_STEPS]
    found = LegSteps()
    for start, stop in stances:
        found.step_length_m.append(float((heel[start] - other[start]) @ _direction(pelvis, start)))
        if stop < len(load):  # one that the episode's end cut off may have had its peak before it
            found.peak_body_weights.append(float(load[start:stop].max()))
    for (start, stop), (following, _) in pairwise(stances):
        found.stride_length_m.append(float(np.hypot(*(heel[following] - heel[start]))))
        found.stride_s.append((following - start) * CONTROL_STEP_S)
        found.stance_share.append((stop - start) / (following - start))
        points = np.linspace(start, following, CYCLE_POINTS)
        found.cycles.append(np.interp(points, np.arange(len(load)), load))
    return found


def _direction(pelvis: Float64, step: int) -> Float64:
    """(2,) unit vector of the way that the pelvis took in the second before; straight ahead if it took none."""
    way: Float64 = pelvis[step] - pelvis[max(0, step - _DIRECTION_STEPS)]
    length = float(np.hypot(*way))
    return way / length if length > _SLOWEST_M else np.array([1.0, 0.0])


def _stretches(values: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one past the last index of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], values, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
