"""Finds excitations that keep the prosthetic body on its feet for three seconds, for the comparison of engines.

Augmented random search (Mania et al., 2018, 'Simple random search provides a competitive approach to reinforcement
learning') over linear feedback from coordinates and speeds, many bodies at once on the native engine.

    python -m infra.bench.fidelity.standing infra/bench/fidelity/actions/standing.npy
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from environment.osim_file import read_model
from environment.physics.models import model_path
from environment.physics.native.engine import Engine
from environment.physics.native.settings import NativeSettings
from environment.timestep import CONTROL_STEP_S

STEPS = 300
_HELD_STEPS = 2
_DIRECTIONS, _BEST_DIRECTIONS = 32, 16
_NOISE, _STEP = 0.08, 0.06
_FALL_PELVIS_HEIGHT_M = 0.6
_RESTING_EXCITATION, _FEEDBACK = 0.1, 0.1

Array = NDArray[np.float64]


class Stance:
    """Bodies that each follow a feedback matrix (M, F) of their own."""

    def __init__(self, number: int) -> None:
        self._engine = Engine(read_model(model_path("3D_pros")), NativeSettings(), number)
        self._start = self._engine.start()
        names = [one.name for one in self._engine.model.coordinates if not one.locked]
        # Where the body is over ground is none of the feedback's business.
        self._kept = [i for i, name in enumerate(names) if name not in ("pelvis_tx", "pelvis_tz")]
        self._dofs = len(names)
        self._tilts = names.index("pelvis_tilt"), names.index("pelvis_list")
        self._forward = self._dofs + names.index("pelvis_tx")
        self._height = self._engine.layout.index["body_pos/pelvis/y"]
        self.shape = len(self._engine.model.muscles), 1 + len(self._kept) + self._dofs

    def stand(self, feedback: Array, steps: int) -> tuple[Array, Array, Array]:
        """(returns, steps on the feet, excitations (steps, number, M)) of feedback (number, M, F)."""
        bodies = self._engine.bodies
        bodies.y[:] = self._start
        bodies.step_size_s[:] = self._engine.settings.first_step_s
        up = np.ones(len(feedback), bool)
        returns, length = np.zeros(len(feedback)), np.zeros(len(feedback))
        excitation = np.zeros((len(feedback), self.shape[0]), np.float32)
        given = []
        for step in range(steps):
            if step % _HELD_STEPS == 0:
                wish = np.einsum("nmf,nf->nm", feedback, self._features())
                excitation = np.clip(_RESTING_EXCITATION + _FEEDBACK * wish, 0.0, 1.0).astype(np.float32)
            given.append(excitation)
            bodies.excitation[:] = excitation
            self._engine.advance(CONTROL_STEP_S)
            height = bodies.state[:, self._height]
            up &= (height > _FALL_PELVIS_HEIGHT_M) & (bodies.failed == 0)
            lean = np.abs(bodies.y[:, self._tilts]).sum(axis=1)
            drift = np.abs(bodies.y[:, self._forward])
            returns += up * (1.0 + 2.0 * np.clip(height - 0.75, 0.0, 0.2) - 0.2 * lean - 0.05 * drift)
            length += up
            if not up.any():
                break
            bodies.y[~up] = self._start
            bodies.step_size_s[~up] = self._engine.settings.first_step_s
        return returns, length, np.array(given)

    def _features(self) -> Array:
        y = self._engine.bodies.y
        pose = (y[:, self._kept] - self._start[self._kept]) / 0.2
        speed = y[:, self._dofs : 2 * self._dofs] / 2.0
        return np.clip(np.concatenate((np.ones((len(y), 1)), pose, speed), axis=1), -5.0, 5.0)


def find(seed: int) -> NDArray[np.float32]:
    """(STEPS, M) excitations under which the body stands that long. Takes minutes."""
    generator = np.random.default_rng(seed)
    stance = Stance(2 * _DIRECTIONS)
    middle = np.zeros(stance.shape)
    for iteration in range(10_000):
        directions = generator.normal(size=(_DIRECTIONS, *stance.shape))
        tried = np.concatenate((middle + _NOISE * directions, middle - _NOISE * directions))
        returns, length, given = stance.stand(tried, STEPS)
        if length.max() >= STEPS:
            return np.asarray(given[:, int(np.argmax(length))], np.float32)
        plus, minus = returns[:_DIRECTIONS], returns[_DIRECTIONS:]
        best = np.argsort(-np.maximum(plus, minus))[:_BEST_DIRECTIONS]
        spread = np.concatenate((plus[best], minus[best])).std() + 1e-6
        slope = np.tensordot(plus[best] - minus[best], directions[best], 1) / (_BEST_DIRECTIONS * spread)
        middle = middle + _STEP * slope
        if iteration % 10 == 0:
            print(f"{iteration}: mean return {returns.mean():.0f}, longest {length.max():.0f} steps", flush=True)
    raise RuntimeError(f"nothing found from seed {seed}; try another")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path, help=".npy to write")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    np.save(options.file, find(options.seed))
