"""Bodies: their masses. Their joints are read by `joints.py`."""

from __future__ import annotations

from environment.body_model import GROUND, Body, Inertia
from environment.osim_file.elements import Element
from environment.osim_file.frames import VISUALS, ZERO, Frames, refuse_wrap_objects

_MOMENTS = ("inertia_xx", "inertia_yy", "inertia_zz")
_PRODUCTS = ("inertia_xy", "inertia_xz", "inertia_yz")


def read_bodies(model: Element, frames: Frames) -> dict[str, Element]:
    """The elements of the bodies by name, without ground's; their frames are noted."""
    elements = {element.name: element for element in model.members("BodySet", {"Body"})}
    ground = elements.pop(GROUND, None) if model.source.old else model.child("Ground")
    if GROUND in elements:
        raise elements[GROUND].damaged(f"no body may have the name {GROUND}")
    if not elements:
        raise model.damaged("has no bodies")
    if ground is not None:
        _check_ground(ground)
        frames.add_offsets(ground.child("components"), f"/{GROUND}")
    for name in elements:
        frames.add_body(name)
    for name, element in elements.items():
        element.check(
            {"mass", "mass_center", "WrapObjectSet"} | VISUALS,
            old={"Joint", *_MOMENTS, *_PRODUCTS},
            new={"inertia", "components"},
        )
        refuse_wrap_objects(element)
        frames.add_offsets(element.child("components"), f"/bodyset/{name}")
    return elements


def _check_ground(ground: Element) -> None:
    """Ground has no joint; its mass in old files means nothing."""
    ground.check(
        {"WrapObjectSet"} | VISUALS, old={"mass", "mass_center", "Joint", *_MOMENTS, *_PRODUCTS}, new={"components"}
    )
    refuse_wrap_objects(ground)
    joint = ground.child("Joint")
    if joint is not None:
        joint.each(())


def read_body(element: Element, welded: bool) -> Body:
    """`welded`: it is part of its parent, and so may lack mass of its own."""
    mass = element.number("mass", least=0.0)
    if mass == 0.0 and not welded:
        raise element.require("mass").unsupported("is 0 (supported: more, or a weld joint to the parent)")
    if mass == 0.0:
        # OpenSim then gives it no inertia either, whatever the file says.
        return Body(element.name, 0.0, ZERO, (*ZERO, *ZERO))
    if element.source.old:
        xx, yy, zz = (element.number(tag) for tag in _MOMENTS)
        xy, xz, yz = (element.number(tag, 0.0) for tag in _PRODUCTS)
    else:
        xx, yy, zz, xy, xz, yz = element.numbers("inertia", 6)
    inertia = (xx, yy, zz, xy, xz, yz)
    if not _possible(inertia):
        raise element.damaged(f"has the inertia {' '.join(f'{moment:g}' for moment in inertia)}, no body can have that")
    return Body(element.name, mass, element.vector("mass_center", ZERO), inertia)


def _possible(inertia: Inertia) -> bool:
    """Whether turning takes energy about every axis, but for rounding."""
    xx, yy, zz, xy, xz, yz = inertia
    minors = (xx * yy - xy * xy, xx * zz - xz * xz, yy * zz - yz * yz)
    determinant = xx * minors[2] - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
    size = max(abs(moment) for moment in inertia)
    slack = 1e-12
    return (
        min(xx, yy, zz) >= 0.0
        and all(minor >= -slack * size**2 for minor in minors)
        and determinant >= -slack * size**3
    )
