"""A fake body for tests: the real state's branches, none of its physics, thousands of steps a second.

A point walks along x. The first half of the muscles pushes it forward, the second half back; the first muscle also
carries its weight: below one half the pelvis sinks, and under 0.6 m it has fallen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.physics.contract import SimulationError, Snapshot, check_excitation
from environment.physics.integration import Integration
from environment.physics.start_state import check_start
from environment.state import AXES, Entry, StateLayout
from environment.timestep import CONTROL_STEP_S

MUSCLES = ("push_a", "push_b", "pull_a", "pull_b")
_COORDINATES = tuple(f"ground_pelvis/pelvis_{name}" for name in ("tilt", "list", "rotation", "tx", "ty", "tz"))
_JOINTS = (*_COORDINATES, "knee_r/knee_angle_r", "knee_l/knee_angle_l")
_BODIES = {"pelvis": 0.0, "pros_foot_r": -0.9, "calcn_l": -0.9, "head": 0.63}
_SIDE_M = {"pros_foot_r": 0.1, "calcn_l": -0.1}


def _layout() -> StateLayout:
    entries = [
        Entry(f"joint_{kind}/{joint}", unit)
        for kind, unit in (("pos", "rad"), ("vel", "rad/s"), ("acc", "rad/s^2"))
        for joint in _JOINTS
    ]
    for kind in ("body_pos", "body_vel", "body_acc", "body_pos_rot", "body_vel_rot", "body_acc_rot"):
        entries += [Entry(f"{kind}/{body}/{axis}", "m") for body in _BODIES for axis in AXES]
    entries += [
        Entry(f"forces/{foot}/ground.force.{axis}", "N") for foot in ("pros_foot_r", "foot_l") for axis in "XYZ"
    ]
    leaves = {"activation": "1", "fiber_length": "m", "fiber_velocity": "m/s", "fiber_force": "N"}
    entries += [Entry(f"muscles/{muscle}/{leaf}", unit) for muscle in MUSCLES for leaf, unit in leaves.items()]
    entries += [Entry(f"misc/mass_center_{kind}/{axis}", "m") for kind in ("pos", "vel", "acc") for axis in AXES]
    return StateLayout(tuple(entries), ("markers",))


class FakePhysics:
    """`Physics` of the point walker. `fails_at` makes that control step of every episode raise SimulationError."""

    name = "fake/point"
    muscles = MUSCLES
    model_sha256 = "0" * 64

    def __init__(self, *, fails_at: int | None = None) -> None:
        self.layout = _layout()
        self.integration: Integration | None = None
        """As it was told; its motion is exact whatever that is."""
        self.resets = 0
        self._started = False
        self.steps = 0
        self._fails_at = fails_at
        self._step = 0
        self._x = self._v = 0.0
        self._height = 0.94
        self._excitation = np.zeros(len(MUSCLES))

    def integrate_as(self, integration: Integration | None) -> None:
        self.integration = integration

    def reset(self) -> NDArray[np.float64]:
        self.resets += 1
        self._started = True
        self._step, self._x, self._v, self._height = 0, 0.0, 0.0, 0.94
        self._excitation = np.zeros(len(MUSCLES))
        return self._vector(0.0)

    def start_at(self, state: NDArray[Any]) -> NDArray[np.float64]:
        values = check_start(state, self.layout, {})
        self.reset()
        index = self.layout.index
        self._x, self._height = (values[index[f"joint_pos/ground_pelvis/pelvis_{axis}"]] for axis in ("tx", "ty"))
        self._v = float(values[index["joint_vel/ground_pelvis/pelvis_tx"]])
        self._excitation = values[self.layout.ending("muscles", "activation")]
        return self._vector(0.0)

    def step(self, excitation: NDArray[Any]) -> NDArray[np.float64]:
        values = check_excitation(excitation, len(MUSCLES)).copy()
        if not self._started:
            raise RuntimeError("step before reset: the fake body has no state yet")
        self._step += 1
        self.steps += 1
        if self._step == self._fails_at:
            raise SimulationError(f"the fake body was told to fail at control step {self._step}")
        acceleration = 6.0 * (values[:2].mean() - values[2:].mean()) - 0.5 * self._v
        self._v += acceleration * CONTROL_STEP_S
        self._x += self._v * CONTROL_STEP_S
        self._height = min(0.94, self._height + (values[0] - 0.5) * CONTROL_STEP_S)
        self._excitation = values
        return self._vector(acceleration)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            self._step * CONTROL_STEP_S,
            self._step,
            np.array([self._x, self._v, self._height]),
            self._excitation,
            integration=self.integration,
        )

    def restore(self, snapshot: Snapshot) -> NDArray[np.float64]:
        self._started = True
        self.integration = snapshot.integration
        self._step = snapshot.step
        self._x, self._v, self._height = snapshot.y.tolist()
        self._excitation = snapshot.excitation.copy()
        return self._vector(0.0)

    def close(self) -> None:
        """Nothing to free."""

    def _vector(self, acceleration: float) -> NDArray[np.float64]:
        values = dict.fromkeys(self.layout.names, 0.0)
        for body, above in _BODIES.items():
            values[f"body_pos/{body}/x"] = self._x
            values[f"body_pos/{body}/y"] = self._height + above
            values[f"body_pos/{body}/z"] = _SIDE_M.get(body, 0.0)
            values[f"body_vel/{body}/x"] = self._v
            values[f"body_acc/{body}/x"] = acceleration
        values["joint_pos/ground_pelvis/pelvis_tx"] = values["misc/mass_center_pos/x"] = self._x
        values["joint_pos/ground_pelvis/pelvis_ty"] = values["misc/mass_center_pos/y"] = self._height
        values["joint_vel/ground_pelvis/pelvis_tx"] = values["misc/mass_center_vel/x"] = self._v
        values["joint_acc/ground_pelvis/pelvis_tx"] = values["misc/mass_center_acc/x"] = acceleration
        values["joint_pos/knee_r/knee_angle_r"] = values["joint_pos/knee_l/knee_angle_l"] = -0.3
        for muscle, excitation in zip(MUSCLES, self._excitation.tolist(), strict=True):
            values[f"muscles/{muscle}/activation"] = excitation
        return np.array(list(values.values()))
