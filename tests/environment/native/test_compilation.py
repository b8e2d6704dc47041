"""From named bodies and joints to links and axes: what is fused, turned over and left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from environment.body_model import (
    GROUND,
    Axis,
    BodyModel,
    Constant,
    Coordinate,
    Frame,
    Linear,
    SimmSpline,
    SpringGeneralizedForce,
)
from environment.physics.native.compilation import compile_model
from tests.environment.hand_made import about_x, about_y, about_z, to_xyz
from tests.environment.native.small_models import (
    Answers,
    Array,
    X,
    Y,
    Z,
    along,
    body,
    coordinate,
    floating,
    joint,
    model,
    pin,
    random_rows,
)

QUARTER = float(np.pi / 2)


def welded(locked: bool) -> BodyModel:
    """A block with another one on it, a quarter turn about z away: by a weld, or by a locked hinge."""
    block = body("block", 2.0, (0, 0, 0), (1.0, 2.0, 3.0, 0, 0, 0))
    other = body("other", 1.0, (1.0, 0, 0), (0.1, 0.2, 0.3, 0.05, 0, 0))
    if locked:
        on = joint(Frame("block", (0, 3, 0)), "other", [coordinate("q", QUARTER, locked=True)], turns=[along(Z, "q")])
    else:
        on = joint(Frame("block", (0, 3, 0), (0, 0, QUARTER)), "other")
    return model([block, other], [floating("block"), on])


@pytest.mark.parametrize("locked", [False, True], ids=["weld", "locked hinge"])
def test_what_does_not_move_against_each_other_becomes_one_link(locked: bool) -> None:
    skeleton = compile_model(welded(locked)).skeleton
    assert skeleton.parent.tolist() == [-1]
    assert skeleton.mass_kg.tolist() == [3.0]
    # The other's centre is at (0, 4, 0), so both together have theirs at 4/3, with 32/3 kg·m² about it.
    np.testing.assert_allclose(skeleton.mass_center_m, [[0, 4 / 3, 0]], atol=1e-15)
    expected = [1.0 + 0.2 + 32 / 3, 2.0 + 0.1, 3.0 + 0.3 + 32 / 3, -0.05, 0, 0]
    np.testing.assert_allclose(skeleton.inertia_kg_m2, [expected], rtol=1e-14, atol=1e-15)


def test_a_locked_coordinate_reports_its_value_and_stands_still() -> None:
    found = Answers(welded(True), random_rows(12))
    for kind, value in (("pos", QUARTER), ("vel", 0.0), ("acc", 0.0)):
        np.testing.assert_array_equal(found.of(f"joint_{kind}/to_other/q"), value)
    np.testing.assert_array_equal(found.accelerations, Answers(welded(False), random_rows(12)).accelerations)


def test_bodies_on_the_ground_stay_there_and_have_no_link() -> None:
    post = joint(Frame(GROUND, (1, 2, 3), (0, 0, 0.5)), Frame("post", (0, 1, 0)))
    of = model([body("post"), body("rod")], [post, pin(Frame("post", (0.0, 1.0, 0.0)), "rod", "q")])
    assert compile_model(of).skeleton.parent.tolist() == [-1]
    found = Answers(of, [0.3, 2.0])
    np.testing.assert_allclose(found.of("body_pos/post")[0], [1, 2, 3] - about_z(0.5) @ [0, 1, 0])
    np.testing.assert_allclose(found.of("body_pos/rod")[0], [1, 2, 3], atol=1e-15)
    np.testing.assert_allclose(found.of("body_pos_rot/rod")[0], [0, 0, 0.8])
    assert not found.of("body_vel/post", "body_acc/post").any()


def test_a_chain_of_turned_frames_puts_the_child_where_it_belongs() -> None:
    parent, child = Frame(GROUND, (0.1, 0.2, 0.3), (0.4, -0.5, 0.6)), Frame("b", (-0.3, 0.2, 0.1), (-0.2, 0.3, 0.7))
    names = ["q1", "q2", "q3", "x"]
    turns = [along(axis, name) for axis, name in zip((Z, X, Y), names[:3], strict=True)]
    of = model([body("b")], [joint(parent, child, [coordinate(n) for n in names], turns=turns, moves=[along(Y, "x")])])
    q = np.array([0.3, -0.4, 0.5, 0.9])
    found = Answers(of, [*q, 0, 0, 0, 0])
    outer = about_x(0.4) @ about_y(-0.5) @ about_z(0.6)
    inner = about_x(-0.2) @ about_y(0.3) @ about_z(0.7)
    turn = outer @ about_z(q[0]) @ about_x(q[1]) @ about_y(q[2]) @ inner.T
    np.testing.assert_allclose(found.of("body_pos_rot/b")[0], to_xyz(turn), rtol=1e-12)
    place = np.array([0.1, 0.2, 0.3]) + outer @ [0, q[3], 0] - turn @ [-0.3, 0.2, 0.1]
    np.testing.assert_allclose(found.of("body_pos/b")[0], place, rtol=1e-12)


def chain(locked: str | None, spring: SpringGeneralizedForce | None = None) -> BodyModel:
    """Two bodies on joints with three turns and two moves each; one coordinate may be locked at 0.5."""

    def five(parent: str, child: str) -> list[Coordinate]:
        return [
            coordinate(f"{child}_{k}", 0.5, locked=f"{child}_{k}" == locked) for k in ("one", "two", "three", "x", "y")
        ]

    joints = []
    for parent, child in ((GROUND, "upper"), ("upper", "lower")):
        coordinates = five(parent, child)
        names = [one.name for one in coordinates]
        turns = [along(axis, name) for axis, name in zip((Z, (1, 0.5, 0), (0, 2, 1)), names[:3], strict=True)]
        moves = [along(axis, name) for axis, name in zip((X, (0, -1, 0)), names[3:], strict=True)]
        joints.append(
            joint(
                Frame(parent, (0.1, 0.2, 0.3), (0.3, 0, 0)),
                Frame(child, (0, 0.2, 0)),
                coordinates,
                turns=turns,
                moves=moves,
            )
        )
    bodies = [body("upper", 2.0, (0.1, -0.2, 0.3), (1, 2, 3, 0.1, 0, 0.2)), body("lower", 1.0, (0, -0.3, 0.1))]
    return model(bodies, joints, [spring] if spring else [])


@pytest.mark.parametrize("name", [f"{b}_{k}" for b in ("upper", "lower") for k in ("one", "two", "three", "x", "y")])
def test_a_locked_coordinate_moves_the_others_as_if_a_force_held_it(name: str) -> None:
    free = [one.name for one in chain(None).coordinates]
    k = free.index(name)
    y = random_rows(20, 6, 0.5, 2)
    y[:, k], y[:, 10 + k] = 0.5, 0.0

    def pushed(force: float, row: Array) -> Answers:
        return Answers(chain(None, SpringGeneralizedForce("hand", name, 1.0, 0.5 + force, 0.0)), row)

    found = Answers(chain(name), np.delete(y, [k, 10 + k], axis=1))
    for i, row in enumerate(y):
        idle, one = (pushed(force, row).accelerations[0, k] for force in (0.0, 1.0))
        held = pushed(idle / (idle - one), row)
        assert abs(held.accelerations[0, k]) < 1e-10
        np.testing.assert_allclose(found.accelerations[i], np.delete(held.accelerations[0], k), rtol=1e-9, atol=1e-9)
        for branch in ("body_pos", "body_pos_rot", "body_vel", "body_vel_rot", "body_acc", "body_acc_rot"):
            np.testing.assert_allclose(found.of(branch)[i], held.of(branch)[0], rtol=1e-9, atol=1e-9)


def turning(*axes: Axis) -> BodyModel:
    """A rod with its centre off all axes."""
    rod = body("rod", 1.5, (0.2, -0.3, 0.1), (0.1, 0.2, 0.3, 0.01, 0.02, 0.03))
    names = ("one", "two", "three")[: len(axes)]
    return model([rod], [joint(GROUND, "rod", [coordinate(name) for name in names], turns=axes)])


def test_a_turn_about_a_negated_axis_is_one_the_other_way() -> None:
    along_axes = turning(along(Z, "one"), along(X, "two"), along(Y, "three"))
    mixed = turning(along(Z, "one"), along((-1, 0, 0), "two"), along((0, -1, 0), "three"))
    y = random_rows(6)
    mirrored = y * [1, -1, -1, 1, -1, -1]
    one, other = Answers(along_axes, y), Answers(mixed, mirrored)
    np.testing.assert_allclose(other.accelerations, one.accelerations * [1, -1, -1], rtol=1e-12)
    np.testing.assert_allclose(other.of("body_pos", "body_pos_rot"), one.of("body_pos", "body_pos_rot"), atol=1e-14)
    assert compile_model(mixed).skeleton.axis_aligned.tolist() == [2, 0, 1]


def test_a_negated_axis_negates_its_whole_function() -> None:
    bent = SimmSpline((-2.0, -1.0, 0.5, 2.0), (0.3, -0.2, 0.4, 0.1))
    minus = SimmSpline(bent.x, tuple(-y for y in bent.y))
    for one, other in ((bent, minus), (Linear(2.0, 0.3), Linear(-2.0, -0.3)), (Constant(0.4), Constant(-0.4))):
        name = None if isinstance(one, Constant) else "two"
        axes = [along(Z, "one"), along((-1, 0, 0), name, one)], [along(Z, "one"), along(X, name, other)]
        models = [turning(*pair) for pair in axes]
        if name is None:
            models = [
                replace(m, joints=(replace(m.joints[0], coordinates=m.joints[0].coordinates[:1]),)) for m in models
            ]
        y = random_rows(4 if name else 2, 8)
        found, mirrored = (Answers(m, y) for m in models)
        np.testing.assert_allclose(found.accelerations, mirrored.accelerations, rtol=1e-11)
        np.testing.assert_allclose(found.of("body_pos_rot"), mirrored.of("body_pos_rot"), rtol=1e-12)


def test_the_length_of_an_axis_does_not_matter() -> None:
    y = random_rows(2)
    skew = np.array([0.3, -0.5, 0.7])
    unit = skew / np.linalg.norm(skew)
    one, other = (Answers(turning(along(tuple(axis.tolist()), "one")), y) for axis in (skew, unit))
    np.testing.assert_allclose(one.accelerations, other.accelerations, rtol=1e-13, atol=1e-13)
    # About a fixed axis: torque of the weight over the moment of inertia.
    inertia = np.array([[0.1, 0.01, 0.02], [0.01, 0.2, 0.03], [0.02, 0.03, 0.3]])
    center = np.array([0.2, -0.3, 0.1])
    around = unit @ inertia @ unit + 1.5 * np.sum(np.cross(unit, center) ** 2)
    for q, found in zip(y[:, 0], one.accelerations[:, 0], strict=True):
        across = np.cross(unit, center)
        arm = unit * (unit @ center) + np.sin(q) * across - np.cos(q) * np.cross(unit, across)
        torque = unit @ np.cross(arm, [0, -9.80665 * 1.5, 0])
        np.testing.assert_allclose(found, torque / around, rtol=1e-10, atol=1e-10)


def test_a_constant_function_is_an_offset_of_the_frame() -> None:
    rod = body("rod", 1.0, (0, -0.4, 0), (1, 1, 0.1, 0, 0, 0))
    q = [coordinate("q")]
    moved = joint(
        GROUND,
        "rod",
        q,
        turns=[along(Z, "q"), along(X, None, Constant(0.2))],
        moves=[along((0, 0, 2), None, Constant(0.5))],
    )
    offset = joint(Frame(GROUND, (0, 0, 0.5)), Frame("rod", rotation_xyz_rad=(-0.2, 0, 0)), q, turns=[along(Z, "q")])
    one, other = (Answers(model([rod], [j]), random_rows(2)) for j in (moved, offset))
    np.testing.assert_allclose(one.accelerations, other.accelerations, rtol=1e-13)
    for branch in ("body_pos", "body_pos_rot", "misc"):
        np.testing.assert_allclose(one.of(branch), other.of(branch), rtol=1e-12, atol=1e-13)


def test_a_spline_that_never_changes_is_a_constant_one() -> None:
    flat = SimmSpline((0.0, 1.0, 2.0), (0.3, 0.3, 0.3))
    q = [coordinate("q")]
    joints = [joint(GROUND, "rod", q, turns=[along(Z, "q")], moves=[along(X, "q", f)]) for f in (flat, Constant(0.3))]
    one, other = (Answers(model([body("rod")], [j]), random_rows(2)) for j in joints)
    np.testing.assert_array_equal(one.accelerations, other.accelerations)
    np.testing.assert_array_equal(one.of("body_pos"), other.of("body_pos"))
    assert len(compile_model(model([body("rod")], joints[:1])).splines.knots) == 0


def test_equal_splines_are_kept_once() -> None:
    bent = SimmSpline((-2.0, -1.0, 0.5, 2.0), (0.3, -0.2, 0.4, 0.1))
    q = [coordinate("q")]
    of = model([body("rod")], [joint(GROUND, "rod", q, moves=[along(X, "q", bent), along(Y, "q", bent)])])
    assert compile_model(of).splines.knots.tolist() == list(bent.x)


def test_coordinates_that_move_nothing_are_refused() -> None:
    idle = joint(GROUND, "rod", [coordinate("q"), coordinate("idle"), coordinate("lazy")], turns=[along(Z, "q")])
    with pytest.raises(
        ValueError, match="coordinates idle, lazy move nothing, so they have no equation of motion; lock them"
    ):
        compile_model(model([body("rod")], [idle]))
    at_rest = tuple(replace(one, locked=one.name != "q") for one in idle.coordinates)
    compile_model(model([body("rod")], [replace(idle, coordinates=at_rest)]))
