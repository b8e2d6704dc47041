"""Joins what does not move against each other into links, and orders the axes of their joints."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from environment.body_model import (
    GROUND,
    Axis,
    Body,
    BodyModel,
    Constant,
    Frame,
    Function,
    Joint,
    Linear,
    Vector3,
)
from environment.physics.native.compilation.functions import SplineTable, floats, integers, starts, value
from environment.physics.native.tables import Skeleton

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Transform:
    """x in the outer frame = rotation @ x + translation."""

    rotation: Matrix = field(default_factory=lambda: np.eye(3))
    translation: Matrix = field(default_factory=lambda: np.zeros(3))

    def __matmul__(self, inner: Transform) -> Transform:
        return Transform(self.rotation @ inner.rotation, self.rotation @ inner.translation + self.translation)

    def inverse(self) -> Transform:
        return Transform(self.rotation.T, -self.rotation.T @ self.translation)

    def point(self, location: Vector3) -> Matrix:
        moved: Matrix = self.rotation @ np.asarray(location) + self.translation
        return moved


@dataclass(frozen=True)
class _MovingAxis:
    turns: bool
    direction: Matrix
    axis: Axis


@dataclass(frozen=True)
class _Link:
    parent: int
    frame: Transform
    axes: tuple[_MovingAxis, ...]


@dataclass(frozen=True)
class Assembly:
    """Where everything of the model is."""

    skeleton: Skeleton
    link_of: dict[str, int]
    """By body, ground (-1) included."""
    in_link: dict[str, Transform]
    """Of each body's frame."""
    dof_of: dict[str, int]
    """By coordinate; locked ones are not in it."""
    locked: dict[str, float]
    """Values of the locked coordinates."""


def assemble(model: BodyModel, splines: SplineTable) -> Assembly:
    """Links, axes, masses and dofs of the model.

    Raises: ValueError when a coordinate that is not locked moves nothing.
    """
    locked = {one.name: one.default for one in model.coordinates if one.locked}
    free = [one.name for one in model.coordinates if not one.locked]
    dof_of = {name: i for i, name in enumerate(free)}
    link_of, in_link = {GROUND: -1}, {GROUND: Transform()}
    links: list[_Link] = []
    for joint in model.joints:
        parent = in_link[joint.parent.body] @ transform(joint.parent)
        axes, fixed_move, fixed_turn = _split(joint, locked)
        frame = Transform(parent.rotation, parent.translation + parent.rotation @ fixed_move)
        after = Transform(fixed_turn) @ transform(joint.child).inverse()
        if axes:
            link_of[joint.child.body], in_link[joint.child.body] = len(links), after
            links.append(_Link(link_of[joint.parent.body], frame, axes))
        else:
            link_of[joint.child.body], in_link[joint.child.body] = link_of[joint.parent.body], frame @ after
    skeleton = _tables(model, links, link_of, in_link, dof_of, splines)
    return Assembly(skeleton, link_of, in_link, dof_of, locked)


def transform(frame: Frame) -> Transform:
    """Of a fixed frame in its body."""
    x, y, z = frame.rotation_xyz_rad
    turn = rotation((1.0, 0.0, 0.0), x) @ rotation((0.0, 1.0, 0.0), y) @ rotation((0.0, 0.0, 1.0), z)
    return Transform(turn, np.asarray(frame.translation_m))


def rotation(axis: Vector3 | Matrix, angle_rad: float) -> Matrix:
    """About a unit vector (Rodrigues)."""
    if angle_rad == 0.0:
        return np.eye(3)
    x, y, z = axis
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    turn: Matrix = np.eye(3) + math.sin(angle_rad) * skew + (1 - math.cos(angle_rad)) * (skew @ skew)
    return turn


def _split(joint: Joint, locked: dict[str, float]) -> tuple[tuple[_MovingAxis, ...], Matrix, Matrix]:
    """The axes that move, and what stays: a move in the parent's frame, and a turn after all the others."""
    axes: list[_MovingAxis] = []
    fixed_move, fixed_turn = np.zeros(3), np.eye(3)
    for axis in joint.translations:
        if _moves(axis, locked):
            axes.append(_MovingAxis(False, _unit(axis), axis))
        else:
            fixed_move = fixed_move + _unit(axis) * _fixed(axis, locked)
    for axis in joint.rotations:
        if _moves(axis, locked):
            # A fixed turn before a moving one is the same turn after it, about the axis as it then lies.
            axes.append(_MovingAxis(True, fixed_turn @ _unit(axis), axis))
        else:
            fixed_turn = fixed_turn @ rotation(_unit(axis), _fixed(axis, locked))
    return tuple(axes), fixed_move, fixed_turn


def _moves(axis: Axis, locked: dict[str, float]) -> bool:
    return axis.coordinate is not None and axis.coordinate not in locked and not _is_constant(axis.function)


def _is_constant(function: Function) -> bool:
    if isinstance(function, Linear):
        return function.slope == 0.0
    return isinstance(function, Constant) or len(set(function.y)) == 1


def _fixed(axis: Axis, locked: dict[str, float]) -> float:
    return value(axis.function, locked.get(axis.coordinate or "", 0.0))


def _unit(axis: Axis) -> Matrix:
    direction = np.asarray(axis.direction)
    length = float(np.linalg.norm(direction))
    return direction if length in (0.0, 1.0) else direction / length


def _tables(
    model: BodyModel,
    links: list[_Link],
    link_of: dict[str, int],
    in_link: dict[str, Transform],
    dof_of: dict[str, int],
    splines: SplineTable,
) -> Skeleton:
    axes = [axis for link in links for axis in link.axes]
    axis_dof = [dof_of[str(one.axis.coordinate)] for one in axes]
    functions = [splines.place(one.axis.function) for one in axes]
    # A turn by q about -x is one by -q about x, and the axes of a frame are cheaper to turn about.
    signs = [-1.0 if _aligned(-one.direction) >= 0 else 1.0 for one in axes]
    directions = [sign * one.direction for sign, one in zip(signs, axes, strict=True)]
    dof_link, dof_parent = _dofs(links, axis_dof, dof_of)
    _refuse_massless(model, links, link_of)
    bodies = [combined([body for body in model.bodies if link_of[body.name] == i], in_link) for i in range(len(links))]
    return Skeleton(
        parent=integers([link.parent for link in links]),
        frame_rotation=floats([link.frame.rotation.ravel() for link in links], 9),
        frame_translation=floats([link.frame.translation for link in links], 3),
        axis_start=starts([len(link.axes) for link in links]),
        turn_start=starts([len(link.axes) for link in links])[:-1]
        + integers([sum(not axis.turns for axis in link.axes) for link in links]),
        axis_direction=floats(directions, 3),
        axis_aligned=integers([_aligned(direction) for direction in directions]),
        axis_dof=integers(axis_dof),
        axis_spline=integers([spline for spline, _, _ in functions]),
        axis_slope=floats([sign * slope for sign, (_, slope, _) in zip(signs, functions, strict=True)]),
        axis_intercept=floats([sign * intercept for sign, (_, _, intercept) in zip(signs, functions, strict=True)]),
        mass_kg=floats([mass for mass, _, _ in bodies]),
        mass_center_m=floats([center for _, center, _ in bodies], 3),
        inertia_kg_m2=floats([i[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]] for _, _, i in bodies], 6),
        dof_link=integers(dof_link),
        dof_parent=integers(dof_parent),
        gravity_m_per_s2=floats(model.gravity_m_per_s2),
    )


def _dofs(links: list[_Link], axis_dof: list[int], dof_of: dict[str, int]) -> tuple[list[int], list[int]]:
    of_link: list[list[int]] = []
    first = 0
    for link in links:
        of_link.append(sorted(set(axis_dof[first : first + len(link.axes)])))
        first += len(link.axes)
    dof_link, dof_parent = [-1] * len(dof_of), [-1] * len(dof_of)
    for i, link in enumerate(links):
        last = of_link[link.parent][-1] if link.parent >= 0 else -1
        for dof in of_link[i]:
            dof_link[dof], dof_parent[dof], last = i, last, dof
    idle = [name for name, dof in dof_of.items() if dof_link[dof] < 0]
    if idle:
        raise ValueError(f"coordinates {', '.join(idle)} move nothing, so they have no equation of motion; lock them")
    return dof_link, dof_parent


def _refuse_massless(model: BodyModel, links: list[_Link], link_of: dict[str, int]) -> None:
    """What moves and has no mass, itself or hanging on it, has no finite acceleration."""
    mass = [sum(body.mass_kg for body in model.bodies if link_of[body.name] == i) for i in range(len(links))]
    for i in reversed(range(len(links))):
        if mass[i] == 0.0:
            names = ", ".join(name for name, link in link_of.items() if link == i)
            raise ValueError(f"{names} moves and has no mass, so it has no equation of motion; weld its joint")
        if links[i].parent >= 0:
            mass[links[i].parent] += mass[i]


def combined(bodies: list[Body], in_link: dict[str, Transform]) -> tuple[float, Matrix, Matrix]:
    """Mass, mass centre and inertia about it of several bodies as one, in the link's frame."""
    mass = sum(body.mass_kg for body in bodies)
    if mass == 0.0:
        return 0.0, np.zeros(3), np.zeros((3, 3))
    centers = [in_link[body.name].point(body.mass_center_m) for body in bodies]
    center = sum((body.mass_kg * at for body, at in zip(bodies, centers, strict=True)), np.zeros(3)) / mass
    inertia = np.zeros((3, 3))
    for body, at in zip(bodies, centers, strict=True):
        xx, yy, zz, xy, xz, yz = body.inertia_kg_m2
        turn, offset = in_link[body.name].rotation, at - center
        inertia += turn @ np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) @ turn.T
        inertia += body.mass_kg * (offset @ offset * np.eye(3) - np.outer(offset, offset))
    return mass, center, inertia


def _aligned(direction: Matrix) -> int:
    for axis in range(3):
        if np.array_equal(direction, np.eye(3)[axis]):
            return axis
    return -1
