"""State history -> observation. Pure functions that work on one step and on a batch, in the actor and in the learner.

An observation never changes the states it is given, and every one of its numbers has a name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from environment.pose import PelvisTilt, PelvisYaw, into_yaw_frame
from environment.state import AXES, TARGET_VELOCITY, StateLayout

Array = NDArray[Any]
Float32 = NDArray[np.float32]


class Observation(Protocol):
    """What the policy sees."""

    name: str
    """Name and version, e.g. `compact/1`; it changes whenever the numbers do."""
    history: int
    """Preceding control steps it needs."""
    names: tuple[str, ...]
    """(O,) of its numbers."""

    def __call__(self, window: Array, target_age_s: Array) -> Float32:
        """The observation (..., O).

        Args:
            window: (..., history + 1, S) float32 states, oldest first; before the reset the reset state repeats.
            target_age_s: (...,) seconds since the target last changed.
        """


class OriginalObservation:
    """The whole state, bodies relative to the centre of mass, and the accelerations of the three steps before.

    After the 2018 system this one descends from: positions, velocities and accelerations of the bodies are taken
    relative to those of the centre of mass, everything else as is (all three axes, zeros kept), then the pelvis's
    velocity relative to the target, then the highest-order values of three preceding control steps: accelerations of
    joints, bodies and centre of mass, and the muscles' fibre velocities.
    """

    name = "original/1"
    history = 3

    def __init__(self, layout: StateLayout) -> None:
        bodies = layout.children("body_pos")
        self._relative = [
            (layout.where(f"body_{kind}").reshape(len(bodies), 3), layout.where(f"misc/mass_center_{kind}"))
            for kind in ("pos", "vel", "acc")
        ]
        self._state = layout.where(*(branch for branch in layout.children_of_root() if branch != TARGET_VELOCITY))
        self._pelvis_velocity = layout.where("body_vel/pelvis")
        self._target = layout.where(TARGET_VELOCITY)
        self._highest = np.concatenate(
            (
                layout.where("joint_acc", "body_acc", "body_acc_rot", "misc/mass_center_acc"),
                layout.ending("muscles", "fiber_velocity"),
            )
        )
        earlier = [f"{layout.names[i]}@-{back}" for back in range(self.history, 0, -1) for i in self._highest]
        self.names = (
            *(layout.names[i] for i in self._state),
            *(f"pelvis_velocity_minus_target/{axis}" for axis in AXES),
            *earlier,
        )

    def __call__(self, window: Array, target_age_s: Array) -> Float32:
        relative = np.array(window, dtype=np.float32)  # a copy: the caller's states stay as they are
        for bodies, center in self._relative:
            relative[..., bodies] = window[..., bodies] - window[..., None, center]
        now = relative[..., -1, :]
        return np.concatenate(
            (
                now[..., self._state],
                window[..., -1, self._pelvis_velocity] - window[..., -1, self._target],
                *(relative[..., back, self._highest] for back in range(self.history)),
            ),
            axis=-1,
        )


class CompactObservation:
    """The walker seen from its own pelvis: the frame turns with the pelvis's yaw, so every heading looks alike.

    Positions and velocities of the bodies relative to the pelvis, the joints, the muscles, the ground's force on each
    foot (in body weights of 700 N, upward when it carries), the target velocity, its difference to the pelvis's
    velocity, and how long the target has stood. Nothing in it tells where in the world the walker is.
    """

    name = "compact/1"
    history = 0
    _BODY_WEIGHT_N = 700.0
    _MUSCLE_FORCE_N = 1000.0

    def __init__(self, layout: StateLayout) -> None:
        self._yaw = PelvisYaw(layout)
        others = tuple(body for body in layout.children("body_pos") if body != "pelvis")
        self._pelvis = {kind: layout.where(f"body_{kind}/pelvis") for kind in ("pos", "vel", "pos_rot", "vel_rot")}
        self._tilt = PelvisTilt(layout)
        self._others = {
            kind: layout.where(*(f"body_{kind}/{body}" for body in others)).reshape(-1, 3) for kind in ("pos", "vel")
        }
        joints = tuple(joint for joint in layout.children("joint_pos") if joint != "ground_pelvis")
        self._joints = layout.where(*(f"joint_{kind}/{joint}" for kind in ("pos", "vel") for joint in joints))
        leaves = ("activation", "fiber_length", "fiber_velocity")
        self._muscles = np.concatenate([layout.ending("muscles", leaf) for leaf in leaves])
        self._muscle_force = layout.ending("muscles", "fiber_force")
        feet = tuple(force for force in layout.children("forces") if "foot" in force)
        pushes = [f"forces/{foot}/ground.force.{axis}" for foot in feet for axis in "XYZ"]
        self._feet = layout.where(*pushes).reshape(-1, 3)
        self._target = layout.where(TARGET_VELOCITY)
        self.names = (
            "pelvis_height",
            "pelvis_tilt",
            "pelvis_list",
            *(f"pelvis_velocity/{axis}" for axis in AXES),
            *(f"pelvis_angular_velocity/{axis}" for axis in AXES),
            *(f"{kind}/{body}/{axis}" for kind in ("position", "velocity") for body in others for axis in AXES),
            *(layout.names[i] for i in self._joints),
            *(layout.names[i] for i in self._muscles),
            *(layout.names[i] for i in self._muscle_force),
            *(f"ground_force/{foot}/{axis}" for foot in feet for axis in AXES),
            *(f"target_velocity/{axis}" for axis in ("x", "z")),
            *(f"target_minus_velocity/{axis}" for axis in ("x", "z")),
            "target_age",
        )

    def __call__(self, window: Array, target_age_s: Array) -> Float32:
        state = window[..., -1, :]
        yaw = self._yaw(state)
        each = yaw[..., None]
        pelvis_velocity = into_yaw_frame(state[..., self._pelvis["vel"]], yaw)
        target = into_yaw_frame(state[..., self._target], yaw)
        position = into_yaw_frame(state[..., self._others["pos"]] - state[..., None, self._pelvis["pos"]], each)
        velocity = into_yaw_frame(state[..., self._others["vel"]] - state[..., None, self._pelvis["vel"]], each)
        # OpenSim records what the foot does to the ground; the walker feels the opposite.
        ground_force = into_yaw_frame(-state[..., self._feet], each) / self._BODY_WEIGHT_N
        parts = (
            state[..., self._pelvis["pos"][1:2]],
            self._tilt(state),
            pelvis_velocity,
            into_yaw_frame(state[..., self._pelvis["vel_rot"]], yaw),
            _flat(position),
            _flat(velocity),
            state[..., self._joints],
            state[..., self._muscles],
            state[..., self._muscle_force] / self._MUSCLE_FORCE_N,
            _flat(ground_force),
            target[..., [0, 2]],
            (target - pelvis_velocity)[..., [0, 2]],
            np.asarray(target_age_s)[..., None],
        )
        return np.concatenate(parts, axis=-1).astype(np.float32)


OBSERVATIONS: Mapping[str, Callable[[StateLayout], Observation]] = {
    "original": OriginalObservation,
    "compact": CompactObservation,
}


def observation(name: str, layout: StateLayout) -> Observation:
    """The observation of that name over states of `layout` (target included).

    Raises: KeyError with the names that exist.
    """
    if name not in OBSERVATIONS:
        raise KeyError(f"no observation {name!r}; there are {', '.join(OBSERVATIONS)}")
    return OBSERVATIONS[name](layout)


def _flat(vectors: Array) -> Array:
    return vectors.reshape(*vectors.shape[:-2], -1)
