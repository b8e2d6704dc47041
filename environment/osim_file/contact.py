"""Contact of spheres with the floor."""

from __future__ import annotations

import math
from collections.abc import Mapping

from environment.body_model import GROUND, HalfSpace, HuntCrossleyForce, Sphere, Vector3
from environment.osim_file.elements import Element
from environment.osim_file.frames import VISUALS, ZERO, Frames

_PARAMETERS = "HuntCrossleyForce::ContactParameters"
_HORIZONTAL = 1e-12
"""How far the floor's normal may be off the vertical: rounding of a right angle."""


def read_geometries(model: Element, frames: Frames) -> dict[str, HalfSpace | Sphere]:
    """The contact geometry by name."""
    elements = model.members("ContactGeometrySet", {"ContactHalfSpace", "ContactSphere"})
    return {element.name: _read_geometry(element, frames) for element in elements}


def _read_geometry(element: Element, frames: Frames) -> HalfSpace | Sphere:
    sphere = element.tag == "ContactSphere"
    element.check(
        {"location", "orientation"} | VISUALS | ({"radius"} if sphere else set()),
        old={"body_name", "display_preference", "color"},
        new={"socket_frame"},
    )
    body = frames.body_of(element, "body_name", "socket_frame")
    location = element.vector("location", ZERO)
    orientation = element.vector("orientation", ZERO)
    if sphere and body == GROUND:
        raise element.unsupported(f"a sphere on {GROUND} (supported: on bodies)")
    if sphere:
        return Sphere(element.name, body, location, element.number("radius", above=0.0))
    if body != GROUND:
        raise element.unsupported(f"a half-space on {body} (supported: on {GROUND})")
    if math.dist(_normal(orientation), (0.0, 1.0, 0.0)) > _HORIZONTAL:
        raise element.unsupported("a half-space that is not horizontal (supported: orientation 0 0 -1.5707963267949)")
    if location[0] != 0.0 or location[2] != 0.0:
        # It shifts nothing but the order in which OpenSim visits the spheres.
        raise element.unsupported("a half-space with a location other than 0 y 0")
    return HalfSpace(element.name, location[1])


def _normal(orientation: Vector3) -> Vector3:
    """Out of the half-space that is solid at x > 0 in a frame with this body-fixed XYZ rotation."""
    (sin_x, sin_y, sin_z), (cos_x, cos_y, cos_z) = map(math.sin, orientation), map(math.cos, orientation)
    return (
        -cos_y * cos_z,
        -(cos_x * sin_z + sin_x * sin_y * cos_z),
        -(sin_x * sin_z - cos_x * sin_y * cos_z),
    )


def read_contact(element: Element, geometries: Mapping[str, HalfSpace | Sphere]) -> HuntCrossleyForce:
    """A force between one half-space and spheres."""
    element.check({f"{_PARAMETERS}Set", "transition_velocity"}, old={"isDisabled"}, new={"appliesForce"})
    sets = element.members(f"{_PARAMETERS}Set", {_PARAMETERS}, named=False)
    parameters = [_read_parameters(item) for item in sets]
    if len(set(parameters)) != 1:
        raise element.unsupported(f"{len(set(parameters))} different sets of contact parameters (supported: one)")
    names = [name for item in sets for name in item.words("geometry")]
    for name in names:
        if name not in geometries:
            raise element.damaged(f"names the contact geometry {name!r}, there is none")
    if len(set(names)) < len(names):
        raise element.damaged(f"names contact geometry twice: {', '.join(names)}")
    geometry = tuple(geometries[name] for name in names)
    planes = sum(isinstance(item, HalfSpace) for item in geometry)
    if planes != 1:
        raise element.unsupported(f"{planes} half-spaces (supported: one)")
    velocity = element.number("transition_velocity", 0.01, above=0.0)
    return HuntCrossleyForce(element.name, geometry, *parameters[0], velocity)


def _read_parameters(element: Element) -> tuple[float, float, float, float, float]:
    element.check({"geometry", "stiffness", "dissipation", "static_friction", "dynamic_friction", "viscous_friction"})
    return (
        element.number("stiffness", above=0.0),
        element.number("dissipation", 0.0, least=0.0),
        element.number("static_friction", 0.0, least=0.0),
        element.number("dynamic_friction", 0.0, least=0.0),
        element.number("viscous_friction", 0.0, least=0.0),
    )
