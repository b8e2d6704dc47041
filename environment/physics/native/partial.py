"""An engine of which some bodies can move while the others rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from environment.physics.native.engine import LANES, Engine, _shares


class PartialEngine(Engine):
    """An engine that also moves some of its bodies alone, without a lane of the processor waiting for a resting one."""

    def advance_some(self, rows: NDArray[np.intp], duration_s: float) -> None:
        """As `advance`, of the bodies (n,) in `rows` alone; of the others, `bodies.state` says nothing afterwards."""
        n = len(rows)
        if n == 0:
            return
        # The machine code moves the first n. Those of them that rest change places with those that move and lie behind.
        behind = rows[rows >= n]
        resting = np.setdiff1d(np.arange(n), rows, assume_unique=True)
        self._swap(resting, behind)
        self._ranges = _shares(n, LANES if self.number > 1 else 1, len(self._scratch))
        try:
            self.advance(duration_s)
        finally:
            self._ranges = _shares(self.number, LANES if self.number > 1 else 1, len(self._scratch))
            self._swap(resting, behind)
            self.bodies.state[behind] = self.bodies.state[resting]

    def _swap(self, some: NDArray[np.intp], others: NDArray[np.intp]) -> None:
        bodies = self.bodies
        if len(some):
            for column in (
                bodies.y,
                bodies.ydot,
                bodies.excitation,
                bodies.step_size_s,
                bodies.failed,
                bodies.evaluations,
            ):
                column[some], column[others] = column[others], column[some]
