"""The paths of muscles."""

from __future__ import annotations

from environment.body_model import ConditionalPoint, FixedPoint, MovingPoint, PathPoint
from environment.osim_file.coordinates import Coordinates
from environment.osim_file.elements import Element
from environment.osim_file.frames import VISUALS, Frames
from environment.osim_file.functions import read_function

_POINTS = ("PathPoint", "ConditionalPathPoint", "MovingPathPoint")


def read_path(element: Element, frames: Frames, coordinates: Coordinates) -> tuple[PathPoint, ...]:
    """The points of a `GeometryPath`, two at least."""
    element.check({"PathPointSet", "PathWrapSet"} | VISUALS)
    element.members("PathWrapSet", ())
    points = tuple(_read_point(item, frames, coordinates) for item in element.members("PathPointSet", _POINTS))
    if len(points) < 2:
        raise element.damaged(f"has {len(points)} points, two at least are needed")
    return points


def _read_point(element: Element, frames: Frames, coordinates: Coordinates) -> PathPoint:
    known = {"location"} | VISUALS
    old, new = {"body"}, {"socket_parent_frame"}
    if element.tag == "MovingPathPoint":
        return _read_moving(element, frames, coordinates)
    if element.tag == "PathPoint":
        element.check(known, old=old, new=new)
        body = frames.body_of(element, "body", "socket_parent_frame")
        return FixedPoint(element.name, body, element.vector("location"))
    element.check(known | {"range"}, old=old | {"coordinate"}, new=new | {"socket_coordinate"})
    return ConditionalPoint(
        name=element.name,
        body=frames.body_of(element, "body", "socket_parent_frame"),
        location_m=element.vector("location"),
        coordinate=coordinates.of(element, "coordinate"),
        range=element.ordered_pair("range"),
    )


def _read_moving(element: Element, frames: Frames, coordinates: Coordinates) -> MovingPoint:
    """Its location in old files is where it was when the file was written, and passed over."""
    element.check(
        {f"{axis}_location" for axis in "xyz"} | VISUALS,
        old={"body", "location", *(f"{axis}_coordinate" for axis in "xyz")},
        new={"socket_parent_frame", *(f"socket_{axis}_coordinate" for axis in "xyz")},
    )
    x, y, z = (read_function(element.require(f"{axis}_location").only_child()) for axis in "xyz")
    of_x, of_y, of_z = (coordinates.of(element, f"{axis}_coordinate") for axis in "xyz")
    if not of_x == of_y == of_z:
        raise element.damaged(f"depends on {of_x}, {of_y}, {of_z}; OpenSim needs the same coordinate for all")
    body = frames.body_of(element, "body", "socket_parent_frame")
    return MovingPoint(element.name, body, (of_x, of_y, of_z), (x, y, z))
