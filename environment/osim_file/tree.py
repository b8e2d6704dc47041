"""Joints as a tree that grows from ground."""

from __future__ import annotations

from dataclasses import replace

from environment.body_model import GROUND, Joint
from environment.osim_file.elements import Element


def unique_names(joints: list[Joint]) -> list[Joint]:
    """Where a name returns, OpenSim counts: `back`, `back_0`, `back_1`."""
    named: list[Joint] = []
    taken: set[str] = set()
    for joint in joints:
        name, count = joint.name, 0
        while name in taken:
            name, count = f"{joint.name}_{count}", count + 1
        taken.add(name)
        named.append(replace(joint, name=name))
    return named


def parents_first(model: Element, joints: list[Joint], bodies: dict[str, Element]) -> tuple[Joint, ...]:
    """The joints, in the order of the file but for those that come before their parent's.

    Raises:
        UnsupportedModel: They form no tree. OpenSim would free the body, or close a loop by constraints.
        DamagedModel: Two coordinates have the same name.
    """
    _check_children(model, joints, bodies)
    _check_coordinates(model, joints)
    ordered: list[Joint] = []
    reached, waiting = {GROUND}, joints
    while waiting:
        ready = next((joint for joint in waiting if joint.parent.body in reached), None)
        if ready is None:
            names = ", ".join(joint.child.body for joint in waiting)
            raise model.unsupported(f"no chain of joints leads from {GROUND} to {names} (supported: a tree)")
        ordered.append(ready)
        reached.add(ready.child.body)
        waiting = [joint for joint in waiting if joint is not ready]
    return tuple(ordered)


def _check_children(model: Element, joints: list[Joint], bodies: dict[str, Element]) -> None:
    children = [joint.child.body for joint in joints]
    for joint in joints:
        if joint.child.body == GROUND:
            raise model.unsupported(f"{GROUND} is the child of the joint {joint.name} (supported: only a parent)")
        if children.count(joint.child.body) > 1:
            raise model.unsupported(f"{joint.child.body} is the child of several joints (supported: of one)")
    free = [name for name in bodies if name not in children]
    if free:
        raise model.unsupported(f"{', '.join(free)}: the child of no joint (supported: of one)")


def _check_coordinates(model: Element, joints: list[Joint]) -> None:
    names = [coordinate.name for joint in joints for coordinate in joint.coordinates]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise model.damaged(f"several coordinates have the name {', '.join(repeated)}")
