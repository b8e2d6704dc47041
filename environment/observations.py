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

    def __call__(self, window: Array, target_age_s: Array, phase: Array | None = None) -> Float32:
        """The observation (..., O).

        Args:
            window: (..., history + 1, S) float32 states, oldest first; before the reset the reset state repeats.
            target_age_s: (...,) seconds since the target last changed.
            phase: (...,) in [0, 1) of the motion that is imitated, if one is.
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

    def __call__(self, window: Array, target_age_s: Array, phase: Array | None = None) -> Float32:
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
        self._others = tuple(body for body in layout.children("body_pos") if body != "pelvis")
        self._feet = tuple(force for force in layout.children("forces") if "foot" in force)
        joints = tuple(joint for joint in layout.children("joint_pos") if joint != "ground_pelvis")
        leaves = ("activation", "fiber_length", "fiber_velocity", "fiber_force")
        as_they_are = (
            layout.where(*(f"joint_{kind}/{joint}" for kind in ("pos", "vel") for joint in joints)),
            *(layout.ending("muscles", leaf) for leaf in leaves),
        )
        self._scalars = {layout.names[i]: i for i in np.concatenate(as_they_are).tolist()}
        self.names = (
            "pelvis_height",
            "pelvis_tilt",
            "pelvis_list",
            *(f"pelvis_velocity/{axis}" for axis in AXES),
            *(f"pelvis_angular_velocity/{axis}" for axis in AXES),
            *(f"{kind}/{body}/{axis}" for kind in ("position", "velocity") for body in self._others for axis in AXES),
            *self._scalars,
            *(f"ground_force/{foot}/{axis}" for foot in self._feet for axis in AXES),
            *(f"target_velocity/{axis}" for axis in ("x", "z")),
            *(f"target_minus_velocity/{axis}" for axis in ("x", "z")),
            "target_age",
        )
        self._plan(layout)

    def _plan(self, layout: StateLayout) -> None:
        """Which numbers of the state are worked on, in which order: by axis, so that all vectors turn at once."""
        vectors = {
            **{f"position/{body}": layout.where(f"body_pos/{body}") for body in self._others},
            **{f"velocity/{body}": layout.where(f"body_vel/{body}") for body in self._others},
            **{
                f"ground_force/{foot}": layout.where(*(f"forces/{foot}/ground.force.{axis}" for axis in "XYZ"))
                for foot in self._feet
            },
            "pelvis_position": layout.where("body_pos/pelvis"),
            "pelvis_velocity": layout.where("body_vel/pelvis"),
            "pelvis_angular_velocity": layout.where("body_vel_rot/pelvis"),
            "target_velocity": layout.where(TARGET_VELOCITY),
            "target_minus_velocity": layout.where(TARGET_VELOCITY),
        }
        # The angles are read first, and what they are written over with is known last.
        angles = zip(("pelvis_tilt", "pelvis_list", "target_age"), layout.where("body_pos_rot/pelvis"), strict=True)
        by_axis = ((f"{vector}/{AXES[i]}", where[i]) for i in (0, 2, 1) for vector, where in vectors.items())
        worked_on = dict((*by_axis, *self._scalars.items(), *angles))
        order = {name: i for i, name in enumerate(worked_on)}
        order["pelvis_height"] = order["pelvis_position/y"]
        self._sources = np.array(list(worked_on.values()))
        self._order = np.array([order[name] for name in self.names])
        self._units = np.ones((len(worked_on), 1), np.float32)
        self._units[[name.startswith("ground_force/") for name in worked_on]] = self._BODY_WEIGHT_N
        self._units[[name.endswith("/fiber_force") for name in worked_on]] = self._MUSCLE_FORCE_N
        self._vectors, relative, feet = len(vectors), 2 * len(self._others), len(self._feet)
        self._relative, self._pushes = slice(relative), slice(relative, relative + feet)
        self._pelvis = slice(relative + feet, relative + feet + 2)

    def __call__(self, window: Array, target_age_s: Array, phase: Array | None = None) -> Float32:
        states = window[..., -1, :].reshape(-1, window.shape[-1])
        # By number, not by state: the values of each lie side by side, which is faster.
        values = states.T.take(self._sources, axis=0, mode="clip")
        yaw, tilt, list_ = pelvis_attitude(values[-3:])
        values[-3], values[-2], values[-1] = tilt, list_, np.reshape(target_age_s, -1)
        self._turn(values[: 3 * self._vectors].reshape(3, self._vectors, -1), yaw)
        values /= self._units
        seen = np.empty((len(states), len(self.names)), np.float32)
        seen.T[:] = values.take(self._order, axis=0, mode="clip")
        return seen.reshape(*window.shape[:-2], -1)

    def _turn(self, vectors: Array, yaw_rad: Array) -> None:
        """Makes (3, V, B) vectors, by axes x, z and y, what they are from where the walker is and faces."""
        pelvis = vectors[:, self._pelvis]  # position and velocity
        relative = vectors[:, self._relative].reshape(3, 2, len(self._others), -1)
        relative -= pelvis[:, :, None]
        # OpenSim records what the foot does to the ground; the walker feels the opposite.
        vectors[:, self._pushes] *= -1.0
        x, z = vectors[0], vectors[1]
        cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
        vectors[0], vectors[1] = cos * x - sin * z, sin * x + cos * z
        vectors[:2, -1] -= pelvis[:2, 1]


class WithPhase:
    """Another observation, and after it where in the cycle of a motion that is imitated the episode is: sine and cosine
    of the phase, which do not jump where a cycle ends."""

    def __init__(self, seen: Observation) -> None:
        self._seen = seen
        self.name, self.history = f"{seen.name}+phase/1", seen.history
        self.names = (*seen.names, "phase/sin", "phase/cos")

    def __call__(self, window: Array, target_age_s: Array, phase: Array | None = None) -> Float32:
        if phase is None:
            raise ValueError(f"observation {self.name} needs the phase of the motion, and got none")
        seen = self._seen(window, target_age_s)
        angle = np.reshape(2.0 * np.pi * np.asarray(phase, np.float64), -1)
        both = np.stack((np.sin(angle), np.cos(angle)), axis=-1).astype(np.float32)
        return np.concatenate((seen, both.reshape(*seen.shape[:-1], 2)), axis=-1)


OBSERVATIONS: Mapping[str, Callable[[StateLayout], Observation]] = {
    "original": OriginalObservation,
    "compact": CompactObservation,
}


def observation(name: str, layout: StateLayout, *, phase: bool = False) -> Observation:
    """The observation of that name over states of `layout` (target included), with the phase of a motion or without.

    Raises: KeyError with the names that exist.
    """
    if name not in OBSERVATIONS:
        raise KeyError(f"no observation {name!r}; there are {', '.join(OBSERVATIONS)}")
    seen = OBSERVATIONS[name](layout)
    return WithPhase(seen) if phase else seen
