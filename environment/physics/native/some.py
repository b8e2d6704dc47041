"""Moves some bodies of an engine and leaves the others alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from environment.physics.native.engine import LANES, Engine, _shares


class SomeBodies:
    """A second engine, in which the bodies to move lie side by side: no lane of the processor waits for a resting one."""

    def __init__(self, engine: Engine, threads: int) -> None:
        self._engine = engine
        self._threads = threads
        self._packed: _FirstBodies | None = None

    def advance(self, rows: NDArray[np.intp], duration_s: float) -> None:
        """As `Engine.advance`, of the bodies (n,) in `rows` alone."""
        n = len(rows)
        if n == 0:
            return
        if self._packed is None:
            self._packed = _FirstBodies(self._engine.model, self._engine.settings, self._engine.number, self._threads)
        here, there = self._engine.bodies, self._packed.bodies
        there.y[:n], there.ydot[:n], there.excitation[:n] = here.y[rows], here.ydot[rows], here.excitation[rows]
        there.step_size_s[:n] = here.step_size_s[rows]
        self._packed.advance_first(n, duration_s)
        here.y[rows], here.ydot[rows], here.state[rows] = there.y[:n], there.ydot[:n], there.state[:n]
        here.step_size_s[rows], here.failed[rows] = there.step_size_s[:n], there.failed[:n]

    def close(self) -> None:
        """Ends the threads."""
        if self._packed is not None:
            self._packed.close()


class _FirstBodies(Engine):
    """An engine that moves only as many of its bodies as it is asked to."""

    def advance_first(self, number: int, duration_s: float) -> None:
        """As `advance`, of the first `number` bodies."""
        self._ranges = _shares(number, LANES if self.number > 1 else 1, len(self._scratch))
        self.advance(duration_s)
