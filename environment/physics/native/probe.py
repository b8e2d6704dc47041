"""The engine's equations asked at any states, for comparison with another engine's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from environment.osim_file import read_model
from environment.physics.native.engine import Engine
from environment.physics.native.settings import NativeSettings

Array = NDArray[np.float64]


class NativeOracle:
    """Derivatives and whole states at given coordinates q, speeds u, activations a, fibre lengths l, excitations e."""

    def __init__(self, path: Path, *, skip_contacts: bool = True) -> None:
        self._model = read_model(path)
        self._skip_contacts = skip_contacts

    def derivatives(self, q: Array, u: Array, a: Array, l: Array, e: Array) -> tuple[Array, Array, Array]:  # noqa: E741
        """Rates of u (n, D), a (n, M) and l (n, M)."""
        rates = self._at(q, u, a, l, e).bodies.ydot
        dofs, muscles = q.shape[1], a.shape[1]
        return rates[:, dofs : 2 * dofs], rates[:, 2 * dofs : 2 * dofs + muscles], rates[:, 2 * dofs + muscles :]

    def state_vectors(self, q: Array, u: Array, a: Array, l: Array, e: Array) -> Array:  # noqa: E741
        """(n, S) whole states."""
        return self._at(q, u, a, l, e).bodies.state

    def _at(self, q: Array, u: Array, a: Array, l: Array, e: Array) -> Engine:  # noqa: E741
        engine = Engine(self._model, NativeSettings(skip_contacts=self._skip_contacts), len(q))
        engine.bodies.y[:] = np.concatenate((q, u, a, l), axis=1)
        engine.bodies.excitation[:] = e
        engine.advance(0.0)
        return engine
