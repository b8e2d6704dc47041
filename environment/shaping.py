"""Optional reward terms and early-abort rules: what a good step looks like, as quantities of the state.

All are off by default. Terms are meant to be weighted by about 1: 0 is good, -1 is clearly bad, except
`forward_velocity`, which is the velocity itself. A rule says that a state is beyond repair, to save simulation time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.pose import PelvisYaw, into_yaw_frame
from environment.state import TARGET_VELOCITY, StateLayout

Array = NDArray[Any]
Quantity = Callable[[Array], Array]
"""States (..., S) -> numbers (...)."""

_LEAN_FREE_M, _LEAN_ABORT_M = 0.2, 0.45
_HEADING_ABORT_RAD = np.pi / 3
_KNEE_MIN_FLEXION_RAD, _KNEE_SCALE_RAD, _KNEE_ABORT_RAD = 0.15, 0.3, -0.2
_HEAD_LOW_M, _HEAD_HIGH_M, _HEAD_ABORT_M = 1.45, 1.75, 1.2
_FEET_MIN_WIDTH_M = 0.05
_LIMIT_TORQUE_N_M = 50.0
_SLOWEST_M_PER_S = -0.3


def lean_m(layout: StateLayout) -> Quantity:
    """How far the head is ahead of the pelvis, in the direction the pelvis faces."""
    return _relative(layout, "head", "pelvis", 0)


def heading_error_rad(layout: StateLayout) -> Quantity:
    """How far the pelvis is turned away from the target's direction, in [0, pi]; 0 when no movement is asked for."""
    yaw = PelvisYaw(layout)
    target = layout.where(TARGET_VELOCITY)

    def error(states: Array) -> Array:
        x, z = states[..., target[0]], states[..., target[2]]
        difference = np.angle(np.exp(1j * (yaw(states) - np.arctan2(-z, x))))
        return np.where(np.hypot(x, z) > 1e-6, np.abs(difference), 0.0)

    return error


def forward_velocity_m_per_s(layout: StateLayout) -> Quantity:
    """Velocity of the pelvis in the direction it faces."""
    yaw = PelvisYaw(layout)
    velocity = layout.where("body_vel/pelvis")
    return lambda states: into_yaw_frame(states[..., velocity], yaw(states))[..., 0]


def head_height_m(layout: StateLayout) -> Quantity:
    """Height of the head's origin."""
    height = layout.index["body_pos/head/y"]
    return lambda states: states[..., height]


def feet_width_m(layout: StateLayout) -> Quantity:
    """How far the right foot is to the right of the left one; negative when the legs cross."""
    right = "pros_foot_r" if "body_pos/pros_foot_r/x" in layout.index else "calcn_r"
    return _relative(layout, right, "calcn_l", 2)


def knee_flexion_rad(layout: StateLayout) -> Quantity:
    """Flexion of the straighter knee; 0 is straight (the model counts flexion as negative)."""
    knees = layout.where("joint_pos/knee_r", "joint_pos/knee_l")
    return lambda states: -states[..., knees].max(axis=-1)


def limit_torque_n_m(layout: StateLayout) -> Quantity:
    """What ligaments and joint stops push with, all joints together; a body without any has none."""
    torques = [
        position
        for position, entry in enumerate(layout.entries)
        if entry.unit == "N·m" and entry.name.startswith("forces/") and "Limit" in entry.name
    ]
    return lambda states: np.abs(states.take(torques, axis=-1)).sum(axis=-1)


def _relative(layout: StateLayout, body: str, origin: str, axis: int) -> Quantity:
    yaw = PelvisYaw(layout)
    there, here = layout.where(f"body_pos/{body}"), layout.where(f"body_pos/{origin}")
    return lambda states: into_yaw_frame(states[..., there] - states[..., here], yaw(states))[..., axis]


def _lean(layout: StateLayout) -> Quantity:
    lean = lean_m(layout)
    return lambda states: -np.maximum(0.0, np.abs(lean(states)) - _LEAN_FREE_M) / _LEAN_FREE_M


def _hips_square(layout: StateLayout) -> Quantity:
    error = heading_error_rad(layout)
    return lambda states: -np.square(error(states) / _HEADING_ABORT_RAD)


def _knees_bent(layout: StateLayout) -> Quantity:
    flexion = knee_flexion_rad(layout)
    return lambda states: -np.maximum(0.0, _KNEE_MIN_FLEXION_RAD - flexion(states)) / _KNEE_SCALE_RAD


def _head_within_bounds(layout: StateLayout) -> Quantity:
    head = head_height_m(layout)

    def outside(states: Array) -> Array:
        height = head(states)
        return -(np.maximum(0.0, _HEAD_LOW_M - height) + np.maximum(0.0, height - _HEAD_HIGH_M)) / 0.2

    return outside


def _feet_apart(layout: StateLayout) -> Quantity:
    width = feet_width_m(layout)
    return lambda states: -np.maximum(0.0, _FEET_MIN_WIDTH_M - width(states)) / 0.1


def _joint_limits(layout: StateLayout) -> Quantity:
    torque = limit_torque_n_m(layout)
    return lambda states: -torque(states) / _LIMIT_TORQUE_N_M


SHAPED_TERMS: Mapping[str, Callable[[StateLayout], Quantity]] = {
    "forward_velocity": forward_velocity_m_per_s,
    "lean": _lean,
    "hips_square": _hips_square,
    "knees_bent": _knees_bent,
    "head_within_bounds": _head_within_bounds,
    "feet_apart": _feet_apart,
    "joint_limits": _joint_limits,
}
"""Name -> builder of the unweighted term."""


def _above(quantity: Quantity, limit: float) -> Quantity:
    return lambda states: np.abs(quantity(states)) > limit


def _below(quantity: Quantity, limit: float) -> Quantity:
    return lambda states: quantity(states) < limit


ABORT_RULES: Mapping[str, Callable[[StateLayout], Quantity]] = {
    "lean": lambda layout: _above(lean_m(layout), _LEAN_ABORT_M),
    "hips_square": lambda layout: _above(heading_error_rad(layout), _HEADING_ABORT_RAD),
    "knees_bent": lambda layout: _below(knee_flexion_rad(layout), _KNEE_ABORT_RAD),
    "head_within_bounds": lambda layout: _below(head_height_m(layout), _HEAD_ABORT_M),
    "velocity": lambda layout: _below(forward_velocity_m_per_s(layout), _SLOWEST_M_PER_S),
}
"""Name -> builder of a rule: True where the episode should end."""
