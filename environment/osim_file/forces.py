"""The forces of a model, and those along a coordinate."""

from __future__ import annotations

import math

from environment.body_model import CoordinateLimitForce, Force, SpringGeneralizedForce
from environment.osim_file.contact import read_contact, read_geometries
from environment.osim_file.coordinates import Coordinates
from environment.osim_file.elements import Element
from environment.osim_file.frames import Frames
from environment.osim_file.muscles import read_muscle

_FORCES = ("Thelen2003Muscle", "HuntCrossleyForce", "CoordinateLimitForce", "SpringGeneralizedForce")


def read_forces(model: Element, frames: Frames, coordinates: Coordinates) -> tuple[Force, ...]:
    """All forces, in the order of the file."""
    geometries = read_geometries(model, frames)
    forces: list[Force] = []
    for element in model.members("ForceSet", _FORCES):
        if element.tag == "Thelen2003Muscle":
            forces.append(read_muscle(element, frames, coordinates))
        elif element.tag == "HuntCrossleyForce":
            forces.append(read_contact(element, geometries))
        elif element.tag == "CoordinateLimitForce":
            forces.append(_read_limit(element, coordinates))
        else:
            forces.append(_read_spring(element, coordinates))
        _refuse_disabled(element)
    return tuple(forces)


def _refuse_disabled(element: Element) -> None:
    switch, disabled = ("isDisabled", True) if element.source.old else ("appliesForce", False)
    if element.flag(switch, not disabled) == disabled:
        raise element.require(switch).unsupported("the force is disabled (supported: enabled)")


def _read_limit(element: Element, coordinates: Coordinates) -> CoordinateLimitForce:
    """The file's values are per degree where the coordinate is rotational."""
    element.check(
        {"coordinate", "upper_limit", "upper_stiffness", "lower_limit", "lower_stiffness", "damping", "transition"}
        | {"compute_dissipation_energy"},  # an output
        old={"isDisabled"},
        new={"appliesForce"},
    )
    name = coordinates.by_name(element, "coordinate")
    unit = math.pi / 180.0 if coordinates.rotational(name) else 1.0
    per_unit = 180.0 / math.pi if coordinates.rotational(name) else 1.0
    return CoordinateLimitForce(
        name=element.name,
        coordinate=name,
        upper_limit=element.number("upper_limit", 0.0) * unit,
        upper_stiffness=element.number("upper_stiffness", 1.0, least=0.0) * per_unit,
        lower_limit=element.number("lower_limit", 0.0) * unit,
        lower_stiffness=element.number("lower_stiffness", 1.0, least=0.0) * per_unit,
        damping=element.number("damping", 0.001, least=0.0) * per_unit,
        transition=element.number("transition", 0.1, above=0.0) * unit,
    )


def _read_spring(element: Element, coordinates: Coordinates) -> SpringGeneralizedForce:
    element.check({"coordinate", "stiffness", "rest_length", "viscosity"}, old={"isDisabled"}, new={"appliesForce"})
    return SpringGeneralizedForce(
        name=element.name,
        coordinate=coordinates.by_name(element, "coordinate"),
        stiffness=element.number("stiffness", 0.0),
        rest=element.number("rest_length", 0.0),
        viscosity=element.number("viscosity", 0.0),
    )
