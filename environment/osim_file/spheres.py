"""Whether the spheres of a contact force could meet each other: OpenSim would let them push."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from environment.body_model import Force, Frame, HuntCrossleyForce, Joint, Sphere
from environment.osim_file.elements import Element

_Pose = tuple[str, NDArray[np.float64], NDArray[np.float64]]
"""A body that others are welded to, the rotation and the place in it."""


def refuse_meeting_spheres(model: Element, joints: tuple[Joint, ...], forces: tuple[Force, ...]) -> None:
    """Refuses spheres of one force that overlap, or whose bodies can move against each other.

    Args:
        joints: Parents first.

    Raises:
        UnsupportedModel: Naming the force and its spheres.
    """
    poses = _welded_poses(joints)
    for force in forces:
        if not isinstance(force, HuntCrossleyForce):
            continue
        spheres = [item for item in force.geometry if isinstance(item, Sphere)]
        for one, other in combinations(spheres, 2):
            distance = _distance_m(one, other, poses)
            if distance is None or distance < one.radius_m + other.radius_m:
                problem = "are on bodies that move against each other" if distance is None else "overlap"
                raise model.unsupported(
                    f"the spheres {one.name} and {other.name} of the HuntCrossleyForce {force.name} {problem} "
                    "(supported: spheres apart from each other, on one body or on welded ones)"
                )


def _welded_poses(joints: tuple[Joint, ...]) -> dict[str, _Pose]:
    poses: dict[str, _Pose] = {}
    for joint in joints:
        parent, child = joint.parent, joint.child
        if joint.kind != "WeldJoint" or parent.body not in poses:
            poses[child.body] = (child.body, np.eye(3), np.zeros(3))
            continue
        root, rotation, place = poses[parent.body]
        turned = rotation @ _rotation(parent) @ _rotation(child).T
        moved = place + rotation @ np.array(parent.translation_m) - turned @ np.array(child.translation_m)
        poses[child.body] = (root, turned, moved)
    return poses


def _distance_m(one: Sphere, other: Sphere, poses: dict[str, _Pose]) -> float | None:
    """Between the centres; None if it changes with the pose."""
    (root, rotation, place), (other_root, other_rotation, other_place) = poses[one.body], poses[other.body]
    if root != other_root:
        return None
    center = place + rotation @ np.array(one.center_m)
    other_center = other_place + other_rotation @ np.array(other.center_m)
    return float(np.linalg.norm(center - other_center))


def _rotation(frame: Frame) -> NDArray[np.float64]:
    (sin_x, sin_y, sin_z), (cos_x, cos_y, cos_z) = np.sin(frame.rotation_xyz_rad), np.cos(frame.rotation_xyz_rad)
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cos_x, -sin_x], [0.0, sin_x, cos_x]])
    about_y = np.array([[cos_y, 0.0, sin_y], [0.0, 1.0, 0.0], [-sin_y, 0.0, cos_y]])
    about_z = np.array([[cos_z, -sin_z, 0.0], [sin_z, cos_z, 0.0], [0.0, 0.0, 1.0]])
    product: NDArray[np.float64] = about_x @ about_y @ about_z
    return product
