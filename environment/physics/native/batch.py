"""Many bodies of one model as the environment wants them: each with a clock, a start, failures and snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.osim_file import read_model
from environment.physics.contract import SimulationError, Snapshot
from environment.physics.integration import Integration
from environment.physics.native.checks import Which, check_excitations, positions
from environment.physics.native.engine import Engine
from environment.physics.native.physics import DEFAULT, unstartable, why
from environment.physics.native.settings import NativeSettings
from environment.state import StateLayout
from environment.timestep import CONTROL_STEP_S

_NOT_STARTED = -1


class NativeBatch:
    """`number` bodies. Each gives, bit for bit, the states that `NativePhysics` alone gives for its excitations."""

    def __init__(
        self,
        model: Path,
        settings: NativeSettings = DEFAULT,
        number: int = 1,
        threads: int = 1,
        *,
        extra_columns: int = 0,
    ) -> None:
        """`extra_columns` are left free at the end of every row of `rows`, for a task's own numbers."""
        self._engine = Engine(read_model(Path(model)), settings, number, threads)
        self._muscles = tuple(muscle.name for muscle in self._engine.model.muscles)
        self._steps = np.full(number, _NOT_STARTED)
        self.rows = np.zeros((number, self.layout.size + extra_columns))
        """(N, S + extra columns) the last good state of every body, in place: the next call writes over it."""
        self.states = self.rows[:, : self.layout.size]
        """(N, S) of it."""
        self.errors: dict[int, SimulationError] = {}
        """Why bodies have failed, by their number, until they are reset; each carries state and excitation."""
        self._start = tuple(np.stack(both) for both in zip(*map(self._started_body, (False, True)), strict=True))
        """Each of what `reset` writes: of a body without late controls and of one with them."""

    @property
    def name(self) -> str:
        """Engine, integrator and accuracy."""
        return self._engine.settings.name

    @property
    def layout(self) -> StateLayout:
        """Of the rows of `states`."""
        return self._engine.layout

    @property
    def muscles(self) -> tuple[str, ...]:
        """(M,) muscle names in the order of the excitations."""
        return self._muscles

    @property
    def model_sha256(self) -> str:
        """Checksum of the model file."""
        return self._engine.model.sha256

    @property
    def number(self) -> int:
        """Bodies, N."""
        return self._engine.number

    @property
    def ready(self) -> NDArray[np.bool_]:
        """(N,) whether a body can be stepped: it was reset, and has not failed since."""
        return self._steps > _NOT_STARTED

    def integrate_as(self, body: int, integration: Integration | None) -> None:
        """How one body's episodes are integrated from its next start on, see `Physics.integrate_as`."""
        self._engine.integrate_as(body, integration)

    def reset(self, which: Which = None) -> NDArray[np.float64]:
        """Puts bodies into the start pose, muscles in equilibrium, and returns `states` (N, S).

        Args:
            which: A mask (N,) or numbers of bodies; None is all.
        """
        rows = positions(which, self.number)
        bodies, (y, ydot, excitation, step_size_s, state) = self._engine.bodies, self._start
        kind = bodies.stale[rows]
        bodies.y[rows], bodies.ydot[rows], bodies.excitation[rows] = y[kind], ydot[kind], excitation[kind]
        bodies.step_size_s[rows] = step_size_s[kind]
        bodies.state[rows] = self.states[rows] = state[kind]
        self._steps[rows] = 0
        self._forgive(rows)
        return self.states

    def step(self, excitations: NDArray[Any], which: Which = None) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Holds the excitations for one control step (10 ms) and returns `states` (N, S) and who failed (N,).

        A failed body keeps its last good state, is explained in `errors`, and must be reset before its next step; it
        disturbs no other. Bodies that are not asked to move are not simulated and stay as they are.

        Args:
            excitations: (N, M) in [0, 1]; rows of bodies that do not move are not looked at.
            which: A mask (N,) or numbers of the bodies that move; None is all.

        Raises:
            ValueError: Another shape, not finite or out of [0, 1]; no body has moved then.
            RuntimeError: One of the bodies was not reset at the start, or after it failed.
        """
        rows = positions(which, self.number)
        values = check_excitations(excitations, self.number, len(self._muscles), rows)
        waiting = self._steps[rows] < 0
        if np.count_nonzero(waiting):
            body = int(np.arange(self.number)[rows][np.argmax(waiting)])
            failed = f"it failed ({self.errors[body]})" if body in self.errors else "it has no state yet"
            raise RuntimeError(f"step of body {body} before its reset: {failed}; reset it, or leave it out of `which`")
        bodies = self._engine.bodies
        bodies.excitation[rows] = values[rows]
        self._engine.advance(CONTROL_STEP_S, None if isinstance(rows, slice) else rows)
        self._steps[rows] += 1
        bad = bodies.failed != 0
        if np.count_nonzero(bad):
            self._explain(np.flatnonzero(bad))
        # Both hold the same of a body that did not move: to copy it too is faster than to pick the others.
        ready = positions(self.ready, self.number)
        self.states[ready] = bodies.state[ready]
        return self.states, bad

    def snapshot(self, body: int) -> Snapshot:
        """The present moment of one body, for `restore` here or in a `NativePhysics` of the same model."""
        if self._steps[body] < 0:
            raise RuntimeError(f"snapshot of body {body} before its reset: it has no state yet")
        bodies = self._engine.bodies
        return Snapshot(
            time_s=CONTROL_STEP_S * int(self._steps[body]),
            step=int(self._steps[body]),
            y=bodies.y[body].copy(),
            excitation=bodies.excitation[body].copy(),
            step_size_s=float(bodies.step_size_s[body]),
            integration=self._engine.integration(body),
        )

    def restore(self, body: int, snapshot: Snapshot) -> NDArray[np.float64]:
        """Continues with one body from a snapshot and returns its state (S,), a copy; the others stay as they are."""
        bodies = self._engine.bodies
        if snapshot.y.shape != bodies.y[0].shape or snapshot.step_size_s is None:
            raise ValueError(
                f"a snapshot of {snapshot.y.size} numbers does not fit {self.name}, which has {bodies.y[0].size}; was "
                "it taken from another model, or from another simulator?"
            )
        rows = np.array([range(self.number)[body]])
        self._engine.integrate_as(body, snapshot.integration)
        bodies.y[rows], bodies.excitation[rows] = snapshot.y, snapshot.excitation
        bodies.step_size_s[rows] = snapshot.step_size_s
        self._engine.advance(0.0, rows)
        self.states[rows] = bodies.state[rows]
        self._steps[rows] = snapshot.step
        self._forgive(rows)
        state: NDArray[np.float64] = self.states[body].copy()
        return state

    def start_at(self, body: int, state: NDArray[Any]) -> NDArray[np.float64]:
        """As `reset` of one body, but in a given state, see `Physics.start_at`; returns its state (S,), a copy.

        Raises: ValueError; SimulationError, and the body must be reset then.
        """
        engine = self._engine
        before = np.full(len(self._muscles), float(engine.bodies.stale[body]))
        fresh = Snapshot(
            0.0, 0, engine.continuous(state), before, engine.settings.first_step_s, engine.integration(body)
        )
        reached = self.restore(body, fresh)
        failed = int(engine.bodies.failed[body])
        if failed:
            self._steps[body] = _NOT_STARTED
            raise SimulationError(unstartable(failed, self.layout, reached))
        return reached

    def close(self) -> None:
        """Ends the threads; the batch can not be used again."""
        self._engine.close()
        self._steps[:] = _NOT_STARTED

    def _started_body(self, stale: bool) -> tuple[NDArray[np.float64], ...]:
        """What `reset` writes: y, ydot, excitation, step size and state of a body in the start pose."""
        settings, bodies = self._engine.settings, self._engine.bodies
        bodies.y[:] = self._engine.start()
        # With osim-rl's late controls, muscles are fully excited before the first action.
        bodies.excitation[:] = float(stale)
        bodies.step_size_s[:] = settings.first_step_s
        self._engine.advance(0.0)
        columns = (bodies.y, bodies.ydot, bodies.excitation, bodies.step_size_s, bodies.state)
        return tuple(np.copy(column[0]) for column in columns)

    def _explain(self, failed: NDArray[np.intp]) -> None:
        for body in failed.tolist():
            bodies, step = self._engine.bodies, int(self._steps[body])
            self._steps[body] = _NOT_STARTED
            reason = why(int(bodies.failed[body]), self.layout, bodies.state[body])
            self.errors[body] = SimulationError(
                f"the native engine could not finish control step {step}: {reason}",
                state=self.states[body].copy(),
                excitation=bodies.excitation[body].copy(),
            )

    def _forgive(self, rows: slice | NDArray[np.intp]) -> None:
        if self.errors:
            for body in np.arange(self.number)[rows].tolist():
                self.errors.pop(body, None)
