"""State history -> observation. Pure functions that work on one step and on a batch, in the actor and in the learner.

An observation never changes the states it is given, and every one of its numbers has a name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from environment.pose import pelvis_attitude
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
        now = layout.where(*(branch for branch in layout.children_of_root() if branch != TARGET_VELOCITY))
        highest = np.concatenate(
            (
                layout.where("joint_acc", "body_acc", "body_acc_rot", "misc/mass_center_acc"),
                layout.ending("muscles", "fiber_velocity"),
            )
        )
        self._now, self._earlier = _Relative(layout, now), _Relative(layout, highest)
        self._pelvis_velocity = layout.where("body_vel/pelvis")
        self._target = layout.where(TARGET_VELOCITY)
        earlier = [f"{layout.names[i]}@-{back}" for back in range(self.history, 0, -1) for i in highest]
        self.names = (
            *(layout.names[i] for i in now),
            *(f"pelvis_velocity_minus_target/{axis}" for axis in AXES),
            *earlier,
        )

    def __call__(self, window: Array, target_age_s: Array) -> Float32:
        seen = np.empty((*window.shape[:-2], len(self.names)), np.float32)
        now = window[..., -1, :]
        end = self._now.size
        self._now.take(now, seen[..., :end])
        seen[..., end : end + 3] = now[..., self._pelvis_velocity] - now[..., self._target]
        end += 3
        for back in range(self.history):
            self._earlier.take(window[..., back, :], seen[..., end : end + self._earlier.size])
            end += self._earlier.size
        return seen


class _Relative:
    """Some numbers of a state, those of bodies relative to the centre of mass."""

    def __init__(self, layout: StateLayout, where: NDArray[np.intp]) -> None:
        self.size = len(where)
        self._where = where
        self._bodies: list[tuple[slice, NDArray[np.intp]]] = []
        for kind in ("pos", "vel", "acc"):
            center, bodies = layout.where(f"misc/mass_center_{kind}"), len(layout.children("body_pos"))
            found = np.flatnonzero(np.isin(where, layout.where(f"body_{kind}")))
            if len(found):  # bodies lie side by side in every state
                self._bodies.append((slice(found[0], found[-1] + 1), np.tile(center, bodies)))

    def take(self, state: Array, into: Float32) -> None:
        """Writes the numbers of states (..., S) into (..., size)."""
        taken = state.take(self._where, axis=-1, mode="clip")
        for bodies, center in self._bodies:
            taken[..., bodies] -= state.take(center, axis=-1, mode="clip")
        into[...] = taken


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
        others = tuple(body for body in layout.children("body_pos") if body != "pelvis")
        self._height = layout.index["body_pos/pelvis/y"]
        self._angles = layout.where("body_pos_rot/pelvis")
        feet = tuple(force for force in layout.children("forces") if "foot" in force)
        # Vectors that turn with the pelvis: its own two, places and velocities of the others, forces, the target.
        vectors = (
            "body_vel/pelvis",
            "body_vel_rot/pelvis",
            *(f"body_{kind}/{body}" for kind in ("pos", "vel") for body in others),
            *(f"forces/{foot}/ground.force.{axis}" for foot in feet for axis in "XYZ"),
            TARGET_VELOCITY,
        )
        self._vectors = layout.where(*vectors).reshape(-1, 3).T.reshape(-1)
        places, velocities, self._feet = 2, 2 + len(others), slice(2 + 2 * len(others), -1)
        self._from_pelvis = (
            (slice(places, velocities), layout.where("body_pos/pelvis")),
            (slice(velocities, self._feet.start), layout.where("body_vel/pelvis")),
        )
        joints = tuple(joint for joint in layout.children("joint_pos") if joint != "ground_pelvis")
        self._joints = layout.where(*(f"joint_{kind}/{joint}" for kind in ("pos", "vel") for joint in joints))
        leaves = ("activation", "fiber_length", "fiber_velocity")
        self._muscles = np.concatenate([layout.ending("muscles", leaf) for leaf in leaves])
        self._muscle_force = layout.ending("muscles", "fiber_force")
        self._scalars = np.concatenate((self._joints, self._muscles, self._muscle_force))
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
        states = window[..., -1, :].reshape(-1, window.shape[-1])
        yaw, tilt, list_ = pelvis_attitude(states[:, self._angles])
        vectors = self._vectors_seen(states, yaw)
        scalars = states.take(self._scalars, axis=1, mode="clip")
        scalars[:, -len(self._muscle_force) :] /= self._MUSCLE_FORCE_N
        seen = np.empty((len(states), len(self.names)), np.float32)
        seen[:, 0], seen[:, 1], seen[:, 2] = states[:, self._height], tilt, list_
        # One after the other: vectors of bodies, scalars, vectors of forces, the target and what is missing to it.
        start = 3 + 3 * self._feet.start
        end = start + scalars.shape[1]
        seen[:, 3:start].reshape(len(states), -1, 3)[:] = vectors[:, :, : self._feet.start].swapaxes(1, 2)
        seen[:, start:end] = scalars
        seen[:, end:-5].reshape(len(states), -1, 3)[:] = vectors[:, :, self._feet].swapaxes(1, 2)
        target = vectors[:, ::2, -1]
        seen[:, -5:-3], seen[:, -3:-1] = target, target - vectors[:, ::2, 0]
        seen[:, -1] = np.reshape(target_age_s, -1)
        return seen.reshape(*window.shape[:-2], -1)

    def _vectors_seen(self, states: Array, yaw_rad: Array) -> Array:
        """(B, 3, V) from where the walker faces."""
        vectors: Array = states.take(self._vectors, axis=1, mode="clip").reshape(len(states), 3, -1)
        for kind, pelvis in self._from_pelvis:
            vectors[:, :, kind] -= states[:, pelvis, None]
        # OpenSim records what the foot does to the ground; the walker feels the opposite.
        vectors[:, :, self._feet] *= -1.0
        x, z = vectors[:, 0], vectors[:, 2]
        cos, sin = np.cos(yaw_rad)[:, None], np.sin(yaw_rad)[:, None]
        vectors[:, 0], vectors[:, 2] = cos * x - sin * z, sin * x + cos * z
        vectors[:, :, self._feet] /= self._BODY_WEIGHT_N
        return vectors


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
