"""What of a body is compared with a motion: pose, velocities, end effectors and centre of mass, but not its place.

DeepMimic compares joints as quaternions and the centre of mass in the world. Here joints have coordinates, whose
differences are compared as they are, and nothing tells where in the world the body is: no observation does either, and
a reward for what a policy can not see can not be learned. What is asked instead of a place is a velocity.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.pose import PelvisTilt, PelvisYaw, into_yaw_frame
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
        self._angles = layout.where(*(f"joint_pos/{joint}" for joint in joints))
        self._speeds = layout.where(*(f"joint_vel/{joint}" for joint in joints))
        self._yaw, self._tilt = PelvisYaw(layout), PelvisTilt(layout)
        self._turning = layout.where("body_vel_rot/pelvis")
        self._pelvis = layout.where("body_pos/pelvis")
        right = _PROSTHESIS if _PROSTHESIS in bodies else _RIGHT_FOOT
        ends = (right, _LEFT_FOOT, _TRUNK_END)
        self._ends = [layout.where(f"body_pos/{body}") for body in ends]
        self._center_height = layout.where("misc/mass_center_pos")[1]
        self._center_velocity = layout.where("misc/mass_center_vel")
        self._target = layout.where(TARGET_VELOCITY) if f"{TARGET_VELOCITY}/x" in layout.index else None
        axes = [
            *((POSE, layout.names[i]) for i in self._angles),
            *((POSE, f"pelvis {angle}") for angle in ("tilt", "list", "yaw from the heading")),
            *((VELOCITY, layout.names[i]) for i in self._speeds),
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

    def __call__(self, states: Array, heading_rad: Float64) -> Float64:
        """(B, F) features of states (B, S), headed for directions (B,)."""
        states = np.asarray(states, np.float64)
        yaw = self._yaw(states)
        pelvis = states.take(self._pelvis, axis=1)
        pelvis[:, 1] = 0.0
        ends = (into_yaw_frame(states.take(end, axis=1) - pelvis, yaw) for end in self._ends)
        off = yaw - heading_rad
        moving = into_yaw_frame(states.take(self._center_velocity, axis=1), heading_rad)
        return np.concatenate(
            (
                states.take(self._angles, axis=1),
                self._tilt(states),
                (off - 2.0 * np.pi * np.rint(off / (2.0 * np.pi)))[:, None],
                states.take(self._speeds, axis=1),
                into_yaw_frame(states.take(self._turning, axis=1), yaw),
                *ends,
                states[:, self._center_height, None],
                moving[:, (0, 2)],
            ),
            axis=1,
        )
