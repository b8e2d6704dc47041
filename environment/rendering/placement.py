"""Where the bodies and the muscles' paths of a model are, read off its states."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.body_model import (
    GROUND,
    BodyModel,
    ConditionalPoint,
    Constant,
    Function,
    Linear,
    MovingPoint,
    PathPoint,
)
from environment.physics.native.splines import pieces
from environment.state import StateLayout

Array = NDArray[np.float64]
States = NDArray[np.floating[Any]]

_RANGE_TOLERANCE = 1e-5
"""OpenSim's, on both ends of a conditional point's range."""


@dataclass(frozen=True, slots=True)
class Poses:
    """Of B bodies at T moments: a point p of a body is at `rotation @ p + position` in ground."""

    rotation: Array
    """(T, B, 3, 3)"""
    position_m: Array
    """(T, B, 3) of the bodies' origins."""


@dataclass(frozen=True, slots=True)
class MusclePaths:
    """The points of all muscles' paths at T moments, one muscle after the other: P in all."""

    point_m: Array
    """(T, P, 3) in ground."""
    present: NDArray[np.bool_]
    """(T, P) False while a conditional point is off its muscle's path."""
    body: tuple[int | None, ...]
    """(P,) in which of the bodies each point is; None for ground."""
    muscle: tuple[slice, ...]
    """(M,) which of the P points are each muscle's, from origin to insertion."""

    def line(self, moment: int, muscle: int) -> Array:
        """(K, 3) the points that the muscle runs through at that moment, two at least."""
        own = self.muscle[muscle]
        found: Array = self.point_m[moment, own][self.present[moment, own]]
        return found

    def lengths_m(self) -> Array:
        """(T, M) of each muscle with its tendon."""
        moments = range(len(self.point_m))
        return np.array([[_length(self.line(t, m)) for m in range(len(self.muscle))] for t in moments])


class Placement:
    """Reads poses and paths off states of one layout."""

    def __init__(self, model: BodyModel, layout: StateLayout) -> None:
        """Raises: ValueError when `layout` describes another body's states."""
        try:
            self._position = layout.where(*(f"body_pos/{body.name}" for body in model.bodies))
            self._angles = layout.where(*(f"body_pos_rot/{body.name}" for body in model.bodies))
            self._activation = layout.where(*(f"muscles/{muscle.name}/activation" for muscle in model.muscles))
            self._coordinate = {
                one.name: layout.index[f"joint_pos/{joint.name}/{one.name}"]
                for joint in model.joints
                for one in joint.coordinates
            }
        except KeyError as error:
            raise ValueError(
                f"these states do not describe the model {model.name}: {error.args[0]}; another task's body?"
            ) from error
        self.bodies = tuple(body.name for body in model.bodies)
        self.muscles = tuple(muscle.name for muscle in model.muscles)
        self._ranges = {one.name: one.range for one in model.coordinates}
        self._points = [point for muscle in model.muscles for point in muscle.path]
        ends = accumulate((len(muscle.path) for muscle in model.muscles), initial=0)
        self._slices = tuple(slice(start, end) for start, end in pairwise(ends))

    def poses(self, states: States) -> Poses:
        """Of the bodies, in the order of `bodies`, at the states (T, S)."""
        shape = (len(states), len(self.bodies), 3)
        angles = states[:, self._angles].astype(np.float64).reshape(shape)
        return Poses(rotation_xyz(angles), states[:, self._position].astype(np.float64).reshape(shape))

    def activations(self, states: States) -> Array:
        """(T, M) in [0, 1], in the order of `muscles`."""
        return states[:, self._activation].astype(np.float64)

    def paths(self, states: States) -> MusclePaths:
        """The muscles' paths at the states (T, S)."""
        poses = self.poses(states)
        place = np.empty((len(states), len(self._points), 3))
        present = np.ones(place.shape[:2], np.bool_)
        for number, point in enumerate(self._points):
            local = self._location(point, states)
            if point.body == GROUND:
                place[:, number] = local
            else:
                body = self.bodies.index(point.body)
                turned = np.einsum("tij,tj->ti", poses.rotation[:, body], local)
                place[:, number] = turned + poses.position_m[:, body]
            if isinstance(point, ConditionalPoint):
                low, high = point.range
                q = states[:, self._coordinate[point.coordinate]]
                present[:, number] = (q >= low - _RANGE_TOLERANCE) & (q <= high + _RANGE_TOLERANCE)
        on = tuple(None if point.body == GROUND else self.bodies.index(point.body) for point in self._points)
        return MusclePaths(place, present, on, self._slices)

    def _location(self, point: PathPoint, states: States) -> Array:
        """(T, 3) in its body."""
        if not isinstance(point, MovingPoint):
            return np.tile(np.array(point.location_m), (len(states), 1))
        components = []
        for name, function in zip(point.coordinates, point.locations_m, strict=True):
            q = states[:, self._coordinate[name]].astype(np.float64)
            # A moving point does not go beyond its coordinate's range.
            components.append(_values(function, np.clip(q, *self._ranges[name])))
        return np.stack(components, axis=1)


def rotation_xyz(angles: Array) -> Array:
    """(..., 3) body-fixed XYZ angles in rad -> (..., 3, 3): Rx Ry Rz, as OpenSim and model files have it."""
    (sx, sy, sz), (cx, cy, cz) = np.moveaxis(np.sin(angles), -1, 0), np.moveaxis(np.cos(angles), -1, 0)
    rows = (
        (cy * cz, -cy * sz, sy),
        (cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy),
        (sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _values(function: Function, q: Array) -> Array:
    if isinstance(function, Constant):
        return np.full(len(q), function.value)
    if isinstance(function, Linear):
        return function.slope * q + function.intercept
    table = pieces(function.x, function.y)[np.searchsorted(function.x, q, side="right")]
    origin, y, b, c, d = table.T
    t = q - origin
    found: Array = y + t * (b + t * (c + t * d))
    return found


def _length(line: Array) -> float:
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
