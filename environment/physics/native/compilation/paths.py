"""Which straight pieces a muscle's path can have, and when each of them exists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from environment.body_model import BodyModel, ConditionalPoint, FixedPoint, Function, MovingPoint, PathPoint
from environment.physics.native.compilation.functions import SplineTable, floats, integers, starts, value
from environment.physics.native.compilation.skeleton import Assembly, Matrix
from environment.physics.native.tables import Paths

# OpenSim's tolerance on both ends of a conditional point's range.
_RANGE_TOLERANCE = 1e-5


@dataclass(frozen=True)
class _Segment:
    start: int
    end: int
    pulls: bool
    needs: tuple[tuple[int, bool], ...]


class _Builder:
    def __init__(self, model: BodyModel, assembly: Assembly, splines: SplineTable) -> None:
        self.assembly, self.splines = assembly, splines
        self.ranges = {one.name: one.range for one in model.coordinates}
        self.point_link: list[int] = []
        self.locations: list[Matrix] = []
        self.moving: dict[int, MovingPoint] = {}
        self.conditions: list[tuple[int, float, float]] = []
        self.segments: list[list[_Segment]] = []
        self.fixed_length: list[float] = []

    def add_muscle(self, path: tuple[PathPoint, ...]) -> None:
        present = [self._settled(point) for point in path if not self._never(point)]
        numbers: dict[int, int] = {}
        needs = [self._condition(point) for point in present]
        segments: list[_Segment] = []
        length = 0.0
        for i in range(len(present)):
            for j in range(i + 1, len(present)):
                between = needs[i + 1 : j]
                if any(need is None for need in between):
                    break
                asked = [(need, True) for need in (needs[i], needs[j]) if need is not None]
                asked += [(need, False) for need in between if need is not None]
                if not asked and self._rigid(present[i], present[j]):
                    length += float(np.linalg.norm(self._location(present[j]) - self._location(present[i])))
                else:
                    for k in (i, j):
                        if k not in numbers:
                            numbers[k] = self._point(present[k])
                    pulls = present[i].body != present[j].body
                    segments.append(_Segment(numbers[i], numbers[j], pulls, tuple(asked)))
        self.segments.append(segments)
        self.fixed_length.append(length)

    def _never(self, point: PathPoint) -> bool:
        """A condition on a locked coordinate that does not hold."""
        if not isinstance(point, ConditionalPoint) or point.coordinate not in self.assembly.locked:
            return False
        low, high = point.range
        q = self.assembly.locked[point.coordinate]
        return not low - _RANGE_TOLERANCE <= q <= high + _RANGE_TOLERANCE

    def _settled(self, point: PathPoint) -> PathPoint:
        """Conditions and movements that hang on locked coordinates only are no such."""
        locked = self.assembly.locked
        if isinstance(point, ConditionalPoint) and point.coordinate in locked:
            return FixedPoint(point.name, point.body, point.location_m)
        if isinstance(point, MovingPoint) and all(name in locked for name in point.coordinates):
            x, y, z = (
                value(function, float(np.clip(locked[name], *self.ranges[name])))
                for name, function in zip(point.coordinates, point.locations_m, strict=True)
            )
            return FixedPoint(point.name, point.body, (x, y, z))
        return point

    def _point(self, point: PathPoint) -> int:
        number = len(self.point_link)
        self.point_link.append(self.assembly.link_of[point.body])
        self.locations.append(self._location(point))
        if isinstance(point, MovingPoint):
            self.moving[number] = point
        return number

    def _location(self, point: PathPoint) -> Matrix:
        """In its link; zeros for a moving point."""
        if isinstance(point, MovingPoint):
            return np.zeros(3)
        return self.assembly.in_link[point.body].point(point.location_m)

    def _condition(self, point: PathPoint) -> int | None:
        if not isinstance(point, ConditionalPoint):
            return None
        low, high = point.range
        condition = (self.assembly.dof_of[point.coordinate], low - _RANGE_TOLERANCE, high + _RANGE_TOLERANCE)
        if condition not in self.conditions:
            self.conditions.append(condition)
        return self.conditions.index(condition)

    def _rigid(self, one: PathPoint, other: PathPoint) -> bool:
        links = self.assembly.link_of
        return not any(isinstance(p, MovingPoint) for p in (one, other)) and links[one.body] == links[other.body]


def compile_paths(model: BodyModel, assembly: Assembly, splines: SplineTable) -> Paths:
    """Paths of all muscles."""
    builder = _Builder(model, assembly, splines)
    for muscle in model.muscles:
        builder.add_muscle(muscle.path)
    segments = [segment for one in builder.segments for segment in one]
    needs = [need for segment in segments for need in segment.needs]
    moving = list(builder.moving)
    frames = [assembly.in_link[point.body] for point in builder.moving.values()]
    components = [
        [_component(builder, name, function) for name, function in zip(p.coordinates, p.locations_m, strict=True)]
        for p in builder.moving.values()
    ]
    return Paths(
        point_link=integers(builder.point_link),
        point_location_m=floats(builder.locations, 3),
        moving_point=integers(moving),
        moving_frame_rotation=floats([frame.rotation.ravel() for frame in frames], 9),
        moving_frame_translation=floats([frame.translation for frame in frames], 3),
        moving_dof=integers([[c[0] for c in one] for one in components], 3),
        moving_spline=integers([[c[1] for c in one] for one in components], 3),
        moving_slope=floats([[c[2] for c in one] for one in components], 3),
        moving_intercept=floats([[c[3] for c in one] for one in components], 3),
        moving_low=floats([[c[4] for c in one] for one in components], 3),
        moving_high=floats([[c[5] for c in one] for one in components], 3),
        condition_dof=integers([dof for dof, _, _ in builder.conditions]),
        condition_low=floats([low for _, low, _ in builder.conditions]),
        condition_high=floats([high for _, _, high in builder.conditions]),
        segment_start=starts([len(one) for one in builder.segments]),
        segment_from=integers([segment.start for segment in segments]),
        segment_to=integers([segment.end for segment in segments]),
        segment_pulls=integers([segment.pulls for segment in segments]),
        segment_from_moving=integers([moving.index(s.start) if s.start in moving else -1 for s in segments]),
        segment_to_moving=integers([moving.index(s.end) if s.end in moving else -1 for s in segments]),
        need_start=starts([len(segment.needs) for segment in segments]),
        need_condition=integers([condition for condition, _ in needs]),
        need_present=integers([present for _, present in needs]),
        fixed_length_m=floats(builder.fixed_length),
    )


def _component(builder: _Builder, name: str, function: Function) -> tuple[int, int, float, float, float, float]:
    """(dof, spline, slope, intercept, low, high) of one component of a moving point."""
    locked = builder.assembly.locked
    low, high = builder.ranges[name]
    if name in locked:
        return -1, -1, 0.0, value(function, float(np.clip(locked[name], low, high))), low, high
    spline, slope, intercept = builder.splines.place(function)
    changes = spline >= 0 or slope != 0.0
    return builder.assembly.dof_of[name] if changes else -1, spline, slope, intercept, low, high
