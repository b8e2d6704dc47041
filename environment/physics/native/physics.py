"""`Physics` by the native engine: one body, OpenSim's equations, machine code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.osim_file import read_model
from environment.physics.contract import SimulationError, Snapshot, check_excitation
from environment.physics.integration import Integration
from environment.physics.native.engine import Engine
from environment.physics.native.methods import MOST_EVALUATIONS
from environment.physics.native.settings import NativeSettings
from environment.state import StateLayout
from environment.timestep import CONTROL_STEP_S

DEFAULT = NativeSettings()
TIGHT = NativeSettings("DormandPrince54", 1e-9)


class NativePhysics:
    """One body. The same excitations give the same states bit for bit, here and in a batch."""

    def __init__(self, model: Path, settings: NativeSettings = DEFAULT) -> None:
        self._engine = Engine(read_model(Path(model)), settings)
        self._muscles = tuple(muscle.name for muscle in self._engine.model.muscles)
        self._start = self._engine.start()
        self._step = -1

    @property
    def name(self) -> str:
        return self._engine.settings.name

    @property
    def layout(self) -> StateLayout:
        return self._engine.layout

    @property
    def muscles(self) -> tuple[str, ...]:
        return self._muscles

    @property
    def model_sha256(self) -> str:
        return self._engine.model.sha256

    def integrate_as(self, integration: Integration | None) -> None:
        self._engine.integrate_as(0, integration)

    def reset(self) -> NDArray[np.float64]:
        return self._begin(self._start)

    def start_at(self, state: NDArray[Any]) -> NDArray[np.float64]:
        reached = self._begin(self._engine.continuous(state))
        if self._engine.bodies.failed[0]:
            self._step = -1
            raise SimulationError(unstartable(int(self._engine.bodies.failed[0]), self.layout, reached))
        return reached

    def _begin(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        engine = self._engine
        # With osim-rl's late controls, muscles are fully excited before the first action.
        before = np.full(len(self._muscles), float(engine.bodies.stale[0]))
        return self.restore(Snapshot(0.0, 0, y, before, engine.settings.first_step_s, engine.integration(0)))

    def step(self, excitation: NDArray[Any]) -> NDArray[np.float64]:
        bodies = self._engine.bodies
        values = check_excitation(excitation, len(self._muscles))
        if self._step < 0:
            raise RuntimeError("step before reset: the simulator has no state yet, or failed in its last step")
        before = bodies.state[0].copy()
        bodies.excitation[0] = values
        self._engine.advance(CONTROL_STEP_S)
        self._step += 1
        state: NDArray[np.float64] = bodies.state[0].copy()
        if bodies.failed[0]:
            step, self._step = self._step, -1
            reason = why(int(bodies.failed[0]), self.layout, state)
            raise SimulationError(
                f"the native engine could not finish control step {step}: {reason}",
                state=before,
                excitation=values,
            )
        return state

    def snapshot(self) -> Snapshot:
        if self._step < 0:
            raise RuntimeError("snapshot before reset: the simulator has no state yet")
        bodies = self._engine.bodies
        return Snapshot(
            time_s=CONTROL_STEP_S * self._step,
            step=self._step,
            y=bodies.y[0].copy(),
            excitation=bodies.excitation[0].copy(),
            step_size_s=float(bodies.step_size_s[0]),
            integration=self._engine.integration(0),
        )

    def restore(self, snapshot: Snapshot) -> NDArray[np.float64]:
        bodies = self._engine.bodies
        if snapshot.y.shape != bodies.y[0].shape or snapshot.step_size_s is None:
            raise ValueError(
                f"a snapshot of {snapshot.y.size} numbers does not fit {self.name}, which has {bodies.y[0].size}; was "
                "it taken from another model, or from another simulator?"
            )
        self._engine.integrate_as(0, snapshot.integration)
        bodies.y[0] = snapshot.y
        bodies.excitation[0] = snapshot.excitation
        bodies.step_size_s[0] = snapshot.step_size_s
        self._engine.advance(0.0)
        self._step = snapshot.step
        state: NDArray[np.float64] = bodies.state[0].copy()
        return state

    def close(self) -> None:
        self._engine.close()
        self._step = -1


def unstartable(failed: int, layout: StateLayout, state: NDArray[np.float64]) -> str:
    """Why a body can not start in `state`."""
    return f"the native engine can not start there: {why(failed, layout, state)}"


def why(failed: int, layout: StateLayout, state: NDArray[np.float64]) -> str:
    """What `Bodies.failed` means, and what is wrong with the state in which the integrator stopped."""
    bad = np.flatnonzero(~np.isfinite(state))
    if len(bad):
        return f"{layout.names[int(bad[0])]} is not finite"
    worst = int(np.argmax(np.abs(state)))
    reason = {
        1: "no step was short enough",
        2: f"it took more than {MOST_EVALUATIONS:,} evaluations (a looser accuracy may need fewer)",
    }[failed]
    return f"{reason}; the largest number is {layout.names[worst]} = {state[worst]:.3g}"
