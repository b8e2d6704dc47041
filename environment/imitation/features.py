"""What of a body is compared with a motion: pose, velocities, end effectors and centre of mass, but not its place.

DeepMimic compares joints as quaternions and the centre of mass in the world. Here joints have coordinates, whose
differences are compared as they are, and nothing tells where in the world the body is: no observation does either, and
a reward for what a policy can not see can not be learned. What is asked instead of a place is a velocity.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.pose import PelvisYaw, pelvis_attitude
from environment.state import TARGET_VELOCITY, StateLayout

Array = NDArray[Any]
Float64 = NDArray[np.float64]

_ROOT = "ground_pelvis"
_PROSTHESIS, _PASSIVE = "pros_foot_r", "ankle_r"
_LEFT_FOOT, _RIGHT_FOOT, _TRUNK_END = "calcn_l", "calcn_r", "head"
_STANDING_M_PER_S = 1e-6
POSE_SCALE, VELOCITY_SCALE, END_EFFECTOR_SCALE, CENTER_OF_MASS_SCALE = 2.0, 0.1, 40.0, 10.0
"""DeepMimic's, per square of rad, rad/s, m and m; see `CENTER_OF_MASS`."""

POSE, VELOCITY, END_EFFECTOR, CENTER_OF_MASS = "pose", "velocity", "end_effector", "center_of_mass"
"""Groups of features.

`POSE`, in rad: the coordinates of all joints but the prosthetic ankle, which no muscle moves, then tilt and list of the
pelvis, then its yaw from the heading. `VELOCITY`, in rad/s: of the same joints, then the pelvis's angular velocity in
its yaw frame. `END_EFFECTOR`, in m: both feet and the head (the model has no hands), seen from the pelvis in its yaw
frame, but heights are above the ground. `CENTER_OF_MASS`: its height in m and, where DeepMimic has its place, its
velocity in m/s along and across the heading."""


class Features:
    """Of states of one layout, with a target or without."""

    def __init__(self, layout: StateLayout) -> None:
        bodies = layout.children("body_pos")
        passive = {_ROOT, _PASSIVE} if _PROSTHESIS in bodies else {_ROOT}
        joints = [joint for joint in layout.children("joint_pos") if joint not in passive]
        angles = layout.where(*(f"joint_pos/{joint}" for joint in joints))
        speeds = layout.where(*(f"joint_vel/{joint}" for joint in joints))
        right = _PROSTHESIS if _PROSTHESIS in bodies else _RIGHT_FOOT
        ends = (right, _LEFT_FOOT, _TRUNK_END)
        self._yaw = PelvisYaw(layout)
        self._plan(layout, angles, speeds, ends)
        self._target = layout.where(TARGET_VELOCITY) if f"{TARGET_VELOCITY}/x" in layout.index else None
        axes = [
            *((POSE, layout.names[i]) for i in angles),
            *((POSE, f"pelvis {angle}") for angle in ("tilt", "list", "yaw from the heading")),
            *((VELOCITY, layout.names[i]) for i in speeds),
            *((VELOCITY, f"pelvis angular velocity {axis}") for axis in "xyz"),
            *((END_EFFECTOR, f"{body} {axis}") for body in ends for axis in "xyz"),
            *((CENTER_OF_MASS, name) for name in ("height", "velocity ahead", "velocity to the right")),
        ]
        self.names = tuple(name for _, name in axes)
        """(F,)"""
        groups = [group for group, _ in axes]
        self.groups = {
            name: slice(groups.index(name), len(groups) - groups[::-1].index(name)) for name in dict.fromkeys(groups)
        }
        """Where each group is among the features."""
        self.yaw = self.groups[POSE].stop - 1
        """Where the yaw from the heading is."""
        scales = {
            POSE: POSE_SCALE,
            VELOCITY: VELOCITY_SCALE,
            END_EFFECTOR: END_EFFECTOR_SCALE,
            CENTER_OF_MASS: CENTER_OF_MASS_SCALE,
        }
        self.scales: Float64 = np.array([scales[group] for group in groups])
        """(F,) of the squared differences."""

    def heading_rad(self, states: Array) -> Float64:
        """(B,) directions in which states (B, S) are asked to go; where they are asked to stand, those they face."""
        if self._target is None:
            raise ValueError("these states have no target, and so no heading")
        x, z = states[:, self._target[0]], states[:, self._target[2]]
        asked = np.hypot(x, z) > _STANDING_M_PER_S
        heading: Float64 = np.where(asked, np.arctan2(-z, x), self._yaw(states))
        return heading

    def yaw_rad(self, states: Array) -> Float64:
        """(B,) directions in which states (B, S) face."""
        yaw: Float64 = np.asarray(self._yaw(states), np.float64)
        return yaw

    def _plan(
        self, layout: StateLayout, angles: NDArray[np.intp], speeds: NDArray[np.intp], ends: tuple[str, ...]
    ) -> None:
        """Which numbers of a state are worked on, in which order: vectors by axis, so that all of them turn at once."""
        turned = [f"body_pos/{body}" for body in ends] + ["body_vel_rot/pelvis", "misc/mass_center_vel"]
        by_axis = [layout.where(vector)[axis] for axis in (0, 2, 1) for vector in turned]
        pelvis, center = layout.where("body_pos/pelvis"), layout.where("misc/mass_center_pos")
        rest = [*layout.where("body_pos_rot/pelvis"), pelvis[0], pelvis[2], center[1]]
        self._sources = np.array([*angles, *speeds, *by_axis, *rest], np.intp)
        self._joints, self._vectors, self._ends = len(angles), len(turned), len(ends)

    def __call__(self, states: Array, heading_rad: Float64) -> Float64:
        """(B, F) features of states (B, S), headed for directions (B,)."""
        # By number, not by state: the values of each lie side by side, which is faster.
        values = np.asarray(states, np.float64).T.take(self._sources, axis=0, mode="clip")
        joints, ends = self._joints, self._ends
        vectors = values[2 * joints : -6].reshape(3, self._vectors, -1)
        yaw, tilt, list_ = pelvis_attitude(values[-6:-3])
        vectors[:2, :ends] -= values[-3:-1, None]
        # All are seen in the pelvis's frame, but the velocity of the whole body, which is the last, along the heading.
        turn = np.empty((self._vectors, len(yaw)))
        turn[:], turn[-1] = yaw, heading_rad
        cos, sin = np.cos(turn), np.sin(turn)
        ahead, right = cos * vectors[0] - sin * vectors[1], sin * vectors[0] + cos * vectors[1]
        found = np.empty((len(self.names), len(yaw)))
        found[:joints], found[joints], found[joints + 1] = values[:joints], tilt, list_
        off = yaw - heading_rad
        found[joints + 2] = off - 2.0 * np.pi * np.rint(off / (2.0 * np.pi))
        found[joints + 3 : 2 * joints + 3] = values[joints : 2 * joints]
        # Angular velocity first, then the end effectors.
        moved = found[2 * joints + 3 :]
        moved[0], moved[1], moved[2] = ahead[ends], vectors[2, ends], right[ends]
        for axis, place in enumerate((ahead, vectors[2], right)):
            moved[3 + axis : 3 + 3 * ends : 3] = place[:ends]
        moved[-3], moved[-2], moved[-1] = values[-1], ahead[-1], right[-1]
        features: Float64 = np.ascontiguousarray(found.T)
        return features
