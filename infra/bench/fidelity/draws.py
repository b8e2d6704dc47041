"""Random poses, speeds and muscle states of one model, from which `states.py` makes its classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infra.bench.fidelity.oracle import Array, States
from infra.bench.fidelity.probe import Probe

FAR_M = 5.0
"""How far from the origin the pelvis is put."""
_JUMP_GAP = 1e-8
_MIDDLE_ANGLES = ("pelvis_list", "hip_adduction_r", "hip_adduction_l")
_LARGEST_MIDDLE_RAD = 1.35
"""The second of a joint's three turns. At a right angle the joint locks up, and before it OpenSim itself loses digits:
with its locked hip rotations welded it differs by 2e-10 from itself with constraints."""


class Draws:
    """Every method gives n rows in the order of the model's unlocked coordinates or of its muscles."""

    def __init__(self, probe: Probe, generator: np.random.Generator) -> None:
        self.probe = probe
        self.generator = generator
        self.names = probe.oracle.coordinates
        self.start = probe.oracle.start()
        self.ranges = np.array([probe.file.ranges()[name] for name in self.names])
        self.translations = np.array([name in ("pelvis_tx", "pelvis_ty", "pelvis_tz") for name in self.names])

    def column(self, name: str) -> int:
        """Raises: ValueError when the model has no such unlocked coordinate."""
        return self.names.index(name)

    def wide(self, n: int) -> Array:
        """Poses anywhere in the coordinates' ranges and a little beyond; legs in the air unless put `on_floor`."""
        low, high = self.ranges.T
        beyond = 0.1 * (high - low)
        q = self.generator.uniform(low - beyond, high + beyond, (n, len(self.names)))
        q[:, self.translations] = self.generator.uniform(-FAR_M, FAR_M, (n, self.translations.sum()))
        return self.off_jumps(self.on_floor(self.off_gimbal_lock(q), -self.generator.uniform(-0.05, 1.0, n)))

    def near_start(self, n: int, spread: float) -> Array:
        """Poses around the start pose, with that standard deviation in rad."""
        q = self.start.q + spread * self.generator.standard_normal((n, len(self.names)))
        q[:, self.translations] = self.generator.uniform(-FAR_M, FAR_M, (n, self.translations.sum()))
        return self.off_jumps(q)

    def speeds(self, n: int, spread: float) -> Array:
        """(n, nq) rad/s or m/s; each state has a size of its own, up to `spread`."""
        size = spread * self.generator.random((n, 1))
        return np.asarray(size * self.generator.standard_normal((n, len(self.names))))

    def on_floor(self, q: Array, depth_m: Array) -> Array:
        """The same poses, raised or lowered so that the lowest contact sphere is `depth_m` (n,) under the floor."""
        if not self.probe.feet:
            return q
        placed = q.copy()
        lowest = self.probe.spheres(q, np.zeros_like(q)).bottom_m.min(axis=1)
        placed[:, self.column("pelvis_ty")] -= lowest + depth_m
        return placed

    def off_jumps(self, q: Array) -> Array:
        """The same poses, moved off the places where a path point comes or goes, if within 1e-8 rad of one."""
        moved = q.copy()
        for name, places in self.probe.file.jumps().items():
            column = moved[:, self.column(name)]
            for place in places:
                near = np.abs(column - place) < _JUMP_GAP
                column[near] = place + 2 * _JUMP_GAP
        return moved

    def off_gimbal_lock(self, q: Array) -> Array:
        """The same poses, the second turns of joints with three put anywhere well under a right angle if beyond."""
        moved = q.copy()
        for name in [name for name in _MIDDLE_ANGLES if name in self.names]:
            column = moved[:, self.column(name)]
            beyond = np.abs(column) > _LARGEST_MIDDLE_RAD
            column[beyond] = self.generator.uniform(-_LARGEST_MIDDLE_RAD, _LARGEST_MIDDLE_RAD, beyond.sum())
        return moved

    def excitations(self, n: int) -> Array:
        """A fifth each: all off, all on, on or off, anywhere in between, and equal to a half."""
        shape = (n, len(self.probe.oracle.muscles))
        between = self.generator.random(shape)
        kinds = np.stack([np.zeros(shape), np.ones(shape), np.round(between), between, np.full(shape, 0.5)])
        chosen: Array = kinds[self.generator.integers(len(kinds), size=n), np.arange(n)]
        return chosen

    def activations(self, n: int) -> Array:
        return self.generator.uniform(0.01, 1.0, (n, len(self.probe.oracle.muscles)))

    def fibers(self, q: Array, strain: tuple[float, float] = (-0.02, 0.06)) -> Array:
        """(n, M) m, such that the tendons' strains are in that range, if 0.35 to 2.2 optimal lengths allow it."""
        muscles = self.probe.muscles
        lengths = self.probe.muscle_lengths(q)
        tendons = muscles.slack_m * (1.0 + self.generator.uniform(*strain, lengths.shape))
        along = np.maximum(lengths - tendons, 0.0)
        return np.clip(np.hypot(along, muscles.height_m), 0.35 * muscles.optimal_m, 2.2 * muscles.optimal_m)

    def states(self, q: Array, u: Array, **given: Array) -> States:
        """States of these poses and speeds; whatever muscle quantity is not given is drawn."""
        n = len(q)
        return States(
            q=q,
            u=u,
            a=given["a"] if "a" in given else self.activations(n),
            l=given["l"] if "l" in given else self.fibers(q),
            e=given["e"] if "e" in given else self.excitations(n),
        )

    def choose(self, n: int, share: float) -> NDArray[np.bool_]:
        """(n,) True with that chance."""
        return self.generator.random(n) < share
