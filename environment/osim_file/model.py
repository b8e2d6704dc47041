"""Reads a model file: only documentary, visual and output elements are passed over, any other is read or refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

from environment.body_model import BodyModel, Marker
from environment.osim_file.bodies import read_bodies, read_body
from environment.osim_file.coordinates import Coordinates
from environment.osim_file.elements import Element
from environment.osim_file.errors import DamagedModel
from environment.osim_file.forces import read_forces
from environment.osim_file.frames import VISUALS, Frames
from environment.osim_file.joints import read_joints
from environment.osim_file.parsing import parse_model
from environment.osim_file.spheres import refuse_meeting_spheres
from environment.osim_file.tree import parents_first, unique_names

_DOCUMENTARY = {"credits", "publications", "length_units", "force_units", "ModelVisualPreferences"}
_OUTPUTS = {"ProbeSet"}
_CONSTRAINT_SETTINGS = {"assembly_accuracy"}
"""Without effect as there are no constraints."""


def read_model(path: Path) -> BodyModel:
    """The model in an `.osim` file, of OpenSim 3's form or OpenSim 4's.

    Raises:
        UnsupportedModel: It holds a component or an option that only OpenSim itself can simulate.
        DamagedModel: It is no sound model file.
        OSError: There is no such file, or it may not be read.
    """
    if path.is_dir():
        raise DamagedModel(f"{path.name} is a folder, a model file is needed")
    data = path.read_bytes()
    model = parse_model(path.name, data)
    _check_model(model)
    frames = Frames()
    bodies = read_bodies(model, frames)
    joints = parents_first(model, unique_names(read_joints(model, bodies, frames)), bodies)
    welded = {joint.child.body for joint in joints if joint.kind == "WeldJoint"}
    forces = read_forces(model, frames, Coordinates(joints))
    refuse_meeting_spheres(model, joints, forces)
    return BodyModel(
        name=model.name,
        sha256=hashlib.sha256(data).hexdigest(),
        gravity_m_per_s2=model.vector("gravity", (0.0, -9.80665, 0.0)),
        bodies=tuple(read_body(element, name in welded) for name, element in bodies.items()),
        joints=joints,
        forces=forces,
        markers=tuple(_read_marker(element, frames) for element in model.members("MarkerSet", {"Marker"})),
    )


def _check_model(model: Element) -> None:
    """Refuses what acts on a model beside its bodies, joints and forces, and defaults other than OpenSim's own."""
    refused = ("ConstraintSet", "ControllerSet", "ComponentSet")
    read = {"gravity", "BodySet", "ForceSet", "MarkerSet", "ContactGeometrySet", "defaults"}
    passed_over = _DOCUMENTARY | _OUTPUTS | _CONSTRAINT_SETTINGS
    model.check(read | passed_over | set(refused), new={"Ground", "JointSet"})
    for tag in refused:
        model.members(tag, ())
    defaults = model.child("defaults")
    if defaults is not None:
        defaults.each(())


def _read_marker(element: Element, frames: Frames) -> Marker:
    element.check({"location", "fixed"} | VISUALS, old={"body"}, new={"socket_parent_frame"})
    return Marker(element.name, frames.body_of(element, "body", "socket_parent_frame"), element.vector("location"))
