"""Joints and their coordinates: inside bodies in OpenSim 3's form, a set of their own in OpenSim 4's."""

from __future__ import annotations

from environment.body_model import Coordinate, Frame, Joint
from environment.osim_file.elements import Element
from environment.osim_file.frames import ZERO, Frames
from environment.osim_file.joint_axes import custom_axes, fixed_axes, rotational_coordinates

_JOINTS = ("CustomJoint", "PinJoint", "PlanarJoint", "WeldJoint")


def read_joints(model: Element, bodies: dict[str, Element], frames: Frames) -> list[Joint]:
    """All joints, in the order of the file."""
    if model.source.old:
        return [_read_old(_joint_of(body), name, frames) for name, body in bodies.items()]
    elements = model.members("JointSet", _JOINTS, repeats=True)
    return [_read_new(element, frames) for element in elements]


def _joint_of(body: Element) -> Element:
    elements = body.require("Joint").each(_JOINTS)
    if len(elements) != 1:
        raise body.require("Joint").damaged(f"holds {len(elements)} joints, one is needed")
    return elements[0]


def _read_old(element: Element, child: str, frames: Frames) -> Joint:
    tags = {"parent_body", "location_in_parent", "orientation_in_parent", "location", "orientation", "reverse"}
    element.check(tags | {"CoordinateSet"} | _own(element))
    if element.flag("reverse", False):
        raise element.require("reverse").unsupported("a reversed joint (supported: from parent to child)")
    parent = Frame(
        frames.body_of(element, "parent_body", ""),
        element.vector("location_in_parent", ZERO),
        element.vector("orientation_in_parent", ZERO),
    )
    own = Frame(child, element.vector("location", ZERO), element.vector("orientation", ZERO))
    return _joint(element, parent, own, element.members("CoordinateSet", {"Coordinate"}))


def _read_new(element: Element, frames: Frames) -> Joint:
    element.check({"socket_parent_frame", "socket_child_frame", "coordinates", "frames"} | _own(element))
    path = f"/jointset/{element.name}"
    frames.add_offsets(element.child("frames"), path)
    parent = frames.at_socket(element, "socket_parent_frame", path)
    own = frames.at_socket(element, "socket_child_frame", path)
    coordinates = element.child("coordinates")
    return _joint(element, parent, own, coordinates.each({"Coordinate"}) if coordinates else [])


def _own(element: Element) -> set[str]:
    return {"SpatialTransform"} if element.tag == "CustomJoint" else set()


def _joint(element: Element, parent: Frame, child: Frame, coordinates: list[Element]) -> Joint:
    if parent.body == child.body:
        raise element.damaged(f"joins {child.body} to itself")
    names = [coordinate.name for coordinate in coordinates]
    custom = element.tag == "CustomJoint"
    axes = custom_axes(element.require("SpatialTransform"), names) if custom else fixed_axes(element, names)
    rotational = rotational_coordinates(element, axes)
    return Joint(
        name=element.name,
        kind=element.tag,
        parent=parent,
        child=child,
        coordinates=tuple(_read_coordinate(item, item.name in rotational) for item in coordinates),
        rotations=(axes[0], axes[1], axes[2]),
        translations=(axes[3], axes[4], axes[5]),
    )


def _read_coordinate(element: Element, rotational: bool) -> Coordinate:
    """The motion type in old files is passed over, as OpenSim finds it itself, and so is freedom in the assembly of
    constraints, as there are none."""
    element.check(
        {"default_value", "default_speed_value", "range", "clamped", "locked", "is_free_to_satisfy_constraints"}
        | {"prescribed_function", "prescribed"},
        old={"motion_type"},
    )
    # Clamping does not touch the motion, but OpenSim moves a start pose into the range.
    for option in ("clamped", "prescribed"):
        if element.flag(option, False):
            raise element.require(option).unsupported(f"a {option} coordinate (supported: free or locked)")
    prescribed = element.child("prescribed_function")
    if prescribed is not None:
        prescribed.each(())
    return Coordinate(
        name=element.name,
        rotational=rotational,
        default=element.number("default_value", 0.0),
        default_speed=element.number("default_speed_value", 0.0),
        locked=element.flag("locked", False),
        range=element.ordered_pair("range", (-10.0, 10.0)),
    )
