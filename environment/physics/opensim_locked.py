"""Takes locked coordinates out of an OpenSim model: they become part of the joint, and their constraints vanish.

A locked coordinate costs a constraint, which Simbody solves and projects at every evaluation. The motion is the same
without: a joint whose coordinates are all locked is a weld, and a custom joint's locked coordinates are constants.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_WELDED_FRAME = "locked_pose"
_COLONS = "..colons.."


def weld_locked(text: str, model: Any, state: Any) -> tuple[str, tuple[str, ...]]:
    """Rewrites a model file without its locked coordinates, as far as the model allows it.

    A coordinate stays, constrained as before, when more than its joint and its limit force needs it, or when its joint
    can neither be welded nor take a constant. A limit force of a coordinate that goes is taken out as well: it only
    ever loaded the constraint.

    Args:
        text: The model file as OpenSim 4 prints it.
        model: The same model in OpenSim.
        state: Of `model`, in the pose that is locked.

    Returns:
        The new text, and the names of the coordinates that were removed.
    """
    # OpenSim names an element `HuntCrossleyForce::ContactParametersSet`, which is no name to an XML parser.
    root = ElementTree.fromstring(re.sub(r"(</?\w+)::", rf"\1{_COLONS}", text))
    limits = {(force.findtext("coordinate") or "").strip(): force for force in root.iter("CoordinateLimitForce")}
    removed: list[str] = []
    joints = {element.get("name"): element for element in _one(root, ".//JointSet/objects")}
    for joint in _members(model.getJointSet()):
        element = joints[joint.getName()]
        coordinates = {name: joint.get_coordinates(i) for i, name in enumerate(_coordinate_names(joint))}
        locked = {
            name: coordinate.getValue(state)
            for name, coordinate in coordinates.items()
            if coordinate.getLocked(state) and not _needed_elsewhere(root, element, limits.get(name), name)
        }
        if locked and len(locked) == len(coordinates):
            _weld(element, joint, state)
        elif locked and element.tag == "CustomJoint":
            locked = _make_constant(element, locked)
        else:
            continue
        removed += locked
    for name in removed:
        if name in limits:
            _one(root, ".//ForceSet/objects").remove(limits[name])
    return ElementTree.tostring(root, encoding="unicode").replace(_COLONS, "::"), tuple(removed)


def _weld(element: Element, joint: Any, state: Any) -> None:
    """Makes the joint a weld in its present pose, by one more frame between the parent's and the child's."""
    pose = joint.getChildFrame().findTransformBetween(state, joint.getParentFrame())
    angles = pose.R().convertRotationToBodyFixedXYZ()
    frame = ElementTree.SubElement(_one(element, "frames"), "PhysicalOffsetFrame", name=_WELDED_FRAME)
    ElementTree.SubElement(frame, "socket_parent").text = joint.getParentFrame().getAbsolutePathString()
    ElementTree.SubElement(frame, "translation").text = _numbers(pose.p())
    ElementTree.SubElement(frame, "orientation").text = _numbers(angles)
    _one(element, "socket_parent_frame").text = _WELDED_FRAME
    for spare in ("coordinates", "SpatialTransform"):
        found = element.find(spare)
        if found is not None:
            element.remove(found)
    element.tag = "WeldJoint"


def _make_constant(element: Element, locked: dict[str, float]) -> dict[str, float]:
    """Takes the locked coordinates out of a custom joint whose axes use them alone and linearly; returns those."""
    axes: dict[str, list[Element]] = {name: [] for name in locked}
    fixed = dict(locked)
    for axis in _one(element, "SpatialTransform"):
        used = (axis.findtext("coordinates") or "").split()
        for name in used:
            if name in axes:
                axes[name].append(axis)
                if len(used) > 1 or axis.find("LinearFunction") is None:
                    fixed.pop(name, None)
    coordinates = _one(element, "coordinates")
    for name, value in fixed.items():
        for axis in axes[name]:
            function = _one(axis, "LinearFunction")
            slope, intercept = (float(number) for number in _one(function, "coefficients").text.split())  # type: ignore[union-attr]
            axis.remove(function)
            constant = ElementTree.SubElement(axis, "Constant", name="function")
            ElementTree.SubElement(constant, "value").text = repr(slope * value + intercept)
            _one(axis, "coordinates").text = ""
        coordinates.remove(_one(coordinates, f"Coordinate[@name='{name}']"))
    return fixed


def _needed_elsewhere(root: Element, joint: Element, limit: Element | None, name: str) -> bool:
    """Whether a part of the model other than the coordinate's joint and its limit force names the coordinate."""
    own = {id(part) for owner in (joint, limit) if owner is not None for part in owner.iter()}
    return any(name in (part.text or "").replace("/", " ").split() for part in root.iter() if id(part) not in own)


def _coordinate_names(joint: Any) -> list[str]:
    return [joint.get_coordinates(i).getName() for i in range(joint.numCoordinates())]


def _numbers(vector: Any) -> str:
    return " ".join(repr(vector.get(i)) for i in range(3))


def _one(element: Element, path: str) -> Element:
    found = element.find(path)
    if found is None:
        raise ValueError(f"{element.tag} {element.get('name', '')} has no {path}; was it printed by OpenSim 4?")
    return found


def _members(collection: Any) -> list[Any]:
    return [collection.get(i) for i in range(collection.getSize())]
