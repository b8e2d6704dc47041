"""Muscle paths: lengths against a second, plain implementation, and pulls against the work that they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from environment.body_model import (
    GROUND,
    BodyModel,
    ConditionalPoint,
    Constant,
    Coordinate,
    FixedPoint,
    Linear,
    MovingPoint,
    PathPoint,
    SimmSpline,
)
from environment.physics.native.compilation import compile_model
from environment.physics.native.splines import pieces
from tests.environment.hand_made import about_z
from tests.environment.native.small_models import Answers, Array, X, Y, Z, along, body, coordinate, joint, model, muscle

# The tendon is so short that it is always beyond its toe, where its force is a straight line of the path's length.
SLACK_M, FIBER_M, TOE = 1e-3, 1e-3, 99 * 0.033 * np.exp(3) / (166 * np.exp(3) - 67)
SLOPE = 0.67 / (0.033 - TOE)
FREE = ("x", "y", "turn")
CURVE = SimmSpline((-1.0, -0.3, 0.4, 1.0), (0.2, 0.3, 0.1, 0.4))


def machine(path: Sequence[PathPoint], locked: dict[str, float] | None = None) -> BodyModel:
    """A body on a slide along x, one along y, and a wheel about z: each coordinate moves one of them alone."""
    held = locked or {}

    def one(name: str) -> Coordinate:
        # No stretch of the range is the same for all of them.
        ranges = {"x": (-0.8, 0.7), "y": (-0.6, 0.9), "turn": (-0.7, 0.5)}
        return coordinate(name, held.get(name, 0.0), locked=name in held, range_=ranges[name])

    rope = muscle("rope", path, tendon_slack_length_m=SLACK_M)
    joints = [
        joint(GROUND, "a", [one("x")], moves=[along(X, "x")]),
        joint(GROUND, "b", [one("y")], moves=[along(Y, "y")]),
        joint(GROUND, "wheel", [one("turn")], turns=[along(Z, "turn")]),
    ]
    # No weight, masses and inertia of one: accelerations are generalised forces.
    return model([body("a"), body("b"), body("wheel")], joints, [rope], gravity=(0.0, 0.0, 0.0))


def ask(of: BodyModel, q: Array) -> tuple[Array, Array, Array]:
    """(path lengths, tensions, generalised forces) at coordinates (n, free ones)."""
    count = len(q)
    found = Answers(of, np.hstack((q, np.zeros_like(q), np.full((count, 1), 0.1), np.full((count, 1), FIBER_M))))
    tension = found.of("forces/rope")[:, 0]
    strain = (tension / 1000.0 - 0.33) / SLOPE + TOE
    return SLACK_M * (strain + 1) + FIBER_M, tension, found.accelerations


def curve(q: float) -> float:
    origin, y, b, c, d = pieces(CURVE.x, CURVE.y)[np.searchsorted(CURVE.x, q, side="right")]
    t = q - origin
    return float(y + t * (b + t * (c + t * d)))


def plain_length(path: Sequence[PathPoint], q: dict[str, float], ranges: dict[str, tuple[float, float]]) -> float:
    """By walking along the points that are there."""
    places = []
    for point in path:
        if isinstance(point, ConditionalPoint):
            low, high = point.range
            if not low - 1e-5 <= q[point.coordinate] <= high + 1e-5:
                continue
        if isinstance(point, MovingPoint):
            at = []
            for name, function in zip(point.coordinates, point.locations_m, strict=True):
                clamped = min(max(q[name], ranges[name][0]), ranges[name][1])
                if isinstance(function, SimmSpline):
                    at.append(curve(clamped))
                else:
                    at.append(
                        function.value
                        if isinstance(function, Constant)
                        else function.slope * clamped + function.intercept
                    )
        else:
            at = list(point.location_m)
        if point.body == "a":
            places.append(np.array(at) + np.array([q["x"], 0, 0]))
        elif point.body == "b":
            places.append(np.array(at) + np.array([0, q["y"], 0]))
        else:
            places.append(about_z(q["turn"]) @ at if point.body == "wheel" else np.array(at))
    return float(sum(np.linalg.norm(end - start) for start, end in pairwise(places)))


def at(name: str, on: str, *place: float) -> FixedPoint:
    return FixedPoint(name, on, (place[0], place[1], place[2]))


def only(name: str, on: str, place: tuple[float, float, float], q: str, low: float, high: float) -> ConditionalPoint:
    return ConditionalPoint(name, on, place, q, (low, high))


MOVING = MovingPoint("m", "wheel", ("turn", "turn", "turn"), (CURVE, Linear(0.3, 0.1), Constant(0.2)))
CROSSING = MovingPoint("n", "b", ("turn", "turn", "turn"), (Linear(0.4, -0.2), CURVE, Constant(-0.3)))
PATHS: dict[str, list[PathPoint]] = {
    "fixed": [
        at("1", GROUND, 1, 2, 0),
        at("2", "a", 0.1, 0.2, 0.3),
        at("3", "a", 0.5, 0, 0),
        at("4", "wheel", 1, 0, 0),
    ],
    "one condition": [
        at("1", GROUND, 1, 2, 0),
        only("2", "a", (0, 0.4, 0), "turn", -0.2, 0.3),
        at("3", "b", 0, 0, 0.5),
    ],
    "conditions in a row": [
        at("1", "a", 0, 2, 0),
        only("2", "a", (0.1, 0.4, 0), "turn", -0.2, 0.3),
        only("3", "wheel", (0.7, 0, 0.1), "y", 0.0, 5.0),
        only("4", "b", (0.7, 0, 0.1), "turn", -5.0, 0.1),
        at("5", "b", 0, 0, 0.5),
        at("6", GROUND, -1, 0, 0.5),
    ],
    "conditions at both ends": [
        only("1", "a", (0, 1, 0), "turn", -0.2, 5.0),
        at("2", "b", 0, 0, 0.5),
        at("3", "wheel", 0.4, 0.3, 0.5),
        only("4", GROUND, (1, 1, 1), "x", -5.0, 0.1),
    ],
    "moving": [at("1", GROUND, 1, 2, 0), MOVING, at("3", "a", 0, 0, 0.5)],
    "moving twice and a condition between": [
        MOVING,
        only("2", "a", (0, 0.4, 0), "y", 0.0, 5.0),
        CROSSING,
        at("4", GROUND, 0, 3, 0),
    ],
}


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("locked", [{}, {"turn": 0.05}, {"turn": -0.65}, {"turn": 0.6, "y": -0.1}], ids=str)
def test_a_path_is_as_long_as_its_points_lie_apart_and_pulls_by_its_shortening(
    name: str, locked: dict[str, float]
) -> None:
    of = machine(PATHS[name], locked)
    free = [one for one in FREE if one not in locked]
    ranges = {one.name: one.range for one in of.coordinates}
    # Within all ranges; what happens beyond is another test's.
    q = np.random.default_rng(0).uniform(-0.55, 0.45, (64, len(free)))
    lengths, tension, forces = ask(of, q)

    def length(row: Array) -> float:
        return plain_length(PATHS[name], {**locked, **dict(zip(free, row.tolist(), strict=True))}, ranges)

    np.testing.assert_allclose(lengths, [length(row) for row in q], rtol=1e-12)
    h = 1e-6
    for i, row in enumerate(q):
        slopes = [(length(row + h * step) - length(row - h * step)) / (2 * h) for step in np.eye(len(free))]
        np.testing.assert_allclose(forces[i] / tension[i], -np.array(slopes), atol=1e-8)


def test_a_condition_holds_a_hundredth_of_a_millirad_beyond_its_range() -> None:
    of = machine(PATHS["one condition"])
    beyond = np.array([-0.2 - 1.1e-5, -0.2 - 0.9e-5, 0.0, 0.3 + 0.9e-5, 0.3 + 1.1e-5])
    lengths, _, _ = ask(of, np.column_stack((np.zeros(5), np.zeros(5), beyond)))
    straight = np.linalg.norm([1, 2, -0.5])
    around = np.linalg.norm([1, 1.6, 0]) + np.linalg.norm([0, 0.4, -0.5])
    np.testing.assert_allclose(lengths, [straight, around, around, around, straight], rtol=1e-12)


def test_beyond_the_range_a_moving_point_stands_still_and_yet_pulls_by_its_slope_there() -> None:
    point = MovingPoint("m", "b", ("turn", "turn", "turn"), (Linear(0.4, -0.2), CURVE, Constant(-0.3)))
    of = machine([at("1", GROUND, 1, 2, 0), point])
    turns = np.array([-3.0, -0.8, -0.7, 0.0, 0.5, 0.6, 3.0])
    lengths, tension, forces = ask(of, np.column_stack((np.zeros(7), np.zeros(7), turns)))
    for i, turn in enumerate(turns):
        held = min(max(turn, -0.7), 0.5)
        along_path = np.array([0.4 * held - 0.2, curve(held), -0.3]) - [1, 2, 0]
        np.testing.assert_allclose(lengths[i], np.linalg.norm(along_path), rtol=1e-12)
        slope = np.array([0.4, (curve(turn + 1e-6) - curve(turn - 1e-6)) / 2e-6, 0.0])
        expected = -tension[i] * along_path @ slope / lengths[i]
        np.testing.assert_allclose(forces[i, 2], expected, rtol=1e-6)
    assert lengths[0] == lengths[1] == lengths[2]
    assert lengths[4] == lengths[5] == lengths[6]


def test_a_moving_point_with_one_locked_coordinate_keeps_that_part_of_its_place() -> None:
    point = MovingPoint("m", "b", ("x", "turn", "turn"), (Linear(0.4, -0.2), CURVE, Constant(-0.3)))
    path: list[PathPoint] = [at("1", GROUND, 1, 2, 0), point]
    of = machine(path, {"turn": 0.6})
    q = np.random.default_rng(1).uniform(-0.5, 0.5, (16, 2))
    lengths, _, _ = ask(of, q)
    ranges = {one.name: one.range for one in of.coordinates}
    expected = [plain_length(path, {"x": x, "y": y, "turn": 0.6}, ranges) for x, y in q.tolist()]
    np.testing.assert_allclose(lengths, expected, rtol=1e-12)


def test_points_of_one_link_make_a_fixed_length_and_those_of_one_body_pull_nothing() -> None:
    fixed = compile_model(machine(PATHS["fixed"])).paths
    np.testing.assert_allclose(fixed.fixed_length_m, [np.linalg.norm([0.4, -0.2, -0.3])])
    assert fixed.segment_start.tolist() == [0, 2]
    # All on the ground once everything is locked.
    still = compile_model(machine(PATHS["conditions in a row"], {"x": 0.1, "turn": 0.0})).paths
    assert len(still.condition_dof) == 1
    within: list[PathPoint] = [at("1", "wheel", 1, 0, 0), MOVING, at("3", GROUND, 0, 2, 0)]
    assert compile_model(machine(within)).paths.segment_pulls.tolist() == [0, 1]


def test_two_points_of_one_body_count_for_length_but_push_no_coordinate_between_them() -> None:
    # Simbody's engine leaves out the pull between points of the same body, the moving one's push included.
    moving = replace(MOVING, locations_m=(Linear(0.5, 0.1), Constant(0.0), Constant(0.0)))
    _, tension, forces = ask(machine([moving, at("2", "wheel", -1.0, 0.0, 0.0)]), np.zeros((1, 3)))
    assert tension[0] > 1000.0
    np.testing.assert_array_equal(forces[0], 0.0)


def test_neighbouring_lanes_take_their_own_way() -> None:
    of = machine(PATHS["conditions in a row"])
    q = np.random.default_rng(3).uniform(-1.5, 1.5, (32, 3))
    together = ask(of, q)
    for i, row in enumerate(q):
        assert [one[i].tobytes() for one in together] == [one[0].tobytes() for one in ask(of, row[None])]
