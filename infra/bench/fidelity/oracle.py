"""OpenSim's own equations, asked at any state: what another engine has to give there.

Nothing is integrated here, nothing is clamped, and no coordinate is moved to fulfil a constraint: each state is taken
as it is given. Locked coordinates stand at their default with zero speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# First, so that OpenSim is loaded without its deprecation warnings and keeps quiet.
import environment.physics.opensim  # noqa: F401

import opensim  # isort: skip

from environment.physics.models import file_sha256
from environment.physics.opensim_reader import StateReader

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """n independent states: nq unlocked coordinates in the joints' order, M muscles in the excitations' order."""

    q: Array
    """(n, nq) rad or m."""
    u: Array
    """(n, nq) their rates, per s."""
    a: Array
    """(n, M) activations as the integrator holds them, not clamped."""
    l: Array  # noqa: E741  (the symbol of fibre length)
    """(n, M) fibre lengths, m, not clamped."""
    e: Array
    """(n, M) excitations."""

    def __len__(self) -> int:
        return len(self.q)

    def __getitem__(self, rows: slice | NDArray[Any]) -> States:
        return States(self.q[rows], self.u[rows], self.a[rows], self.l[rows], self.e[rows])


class RightHandSide(Protocol):
    """An engine that can be asked at any states: OpenSim below, or one to be compared with it.

    The arguments are the arrays of `States`.
    """

    def derivatives(self, q: Array, u: Array, a: Array, l: Array, e: Array) -> tuple[Array, Array, Array]:  # noqa: E741
        """Rates of u (n, nq), a (n, M) and l (n, M), per s."""

    def state_vectors(self, q: Array, u: Array, a: Array, l: Array, e: Array) -> Array:  # noqa: E741
        """(n, S) whole states in the order of `StateReader`'s layout."""


class Oracle:
    """`RightHandSide` by OpenSim, for one model file. Markers, which have no part in the motion, are left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sha256 = file_sha256(path)
        self.model = opensim.Model(str(path))
        self.model.updMarkerSet().clearAndDestroy()
        self.state = self.model.initSystem()
        self._reader = StateReader(self.model)
        self.layout = self._reader.layout
        joints = [self.model.getJointSet().get(i) for i in range(self.model.getJointSet().getSize())]
        coordinates = [joint.get_coordinates(i) for joint in joints for i in range(joint.numCoordinates())]
        free = [coordinate for coordinate in coordinates if not coordinate.getLocked(self.state)]
        self.coordinates = tuple(coordinate.getName() for coordinate in free)
        muscles = [self.model.getMuscles().get(i) for i in range(self.model.getMuscles().getSize())]
        self.muscles = tuple(muscle.getName() for muscle in muscles)
        self._y = self.state.getY().to_numpy().copy()
        self._q = self._places([f"{c.getAbsolutePathString()}/value" for c in free])
        self._u = self._places([f"{c.getAbsolutePathString()}/speed" for c in free])
        self._a = self._places([f"{m.getAbsolutePathString()}/activation" for m in muscles])
        self._l = self._places([f"{m.getAbsolutePathString()}/fiber_length" for m in muscles])
        self._check(locked=len(coordinates) - len(free))

    def derivatives(self, q: Array, u: Array, a: Array, l: Array, e: Array) -> tuple[Array, Array, Array]:  # noqa: E741
        found = np.empty((len(q), len(self._y)))
        for i in range(len(q)):
            self.put(q[i], u[i], a[i], l[i], e[i])
            self.model.realizeAcceleration(self.state)
            found[i] = self.state.getYDot().to_numpy()
        return found[:, self._u], found[:, self._a], found[:, self._l]

    def state_vectors(self, q: Array, u: Array, a: Array, l: Array, e: Array) -> Array:  # noqa: E741
        found = np.empty((len(q), self.layout.size))
        for i in range(len(q)):
            self.put(q[i], u[i], a[i], l[i], e[i])
            found[i] = self._reader.read(self.state)
        return found

    def start(self) -> States:
        """The start pose, muscles in equilibrium, no excitation: one state."""
        state = self.model.initializeState()
        self.model.equilibrateMuscles(state)
        return self.of_y(state.getY().to_numpy()[None], np.zeros((1, len(self.muscles))))

    def of_y(self, y: Array, e: Array) -> States:
        """OpenSim's own state vectors (n, Y), as in a `Snapshot`, with excitations (n, M)."""
        return States(y[:, self._q], y[:, self._u], y[:, self._a], y[:, self._l], e)

    def put(self, q: Array, u: Array, a: Array, l: Array, e: Array) -> None:  # noqa: E741
        """Makes one state the present one, realised to velocities."""
        y = self._y.copy()
        y[self._q], y[self._u], y[self._a], y[self._l] = q, u, a, l
        self.state.setY(opensim.Vector.createFromMat(y))
        # No controller is asked: the controls are cached from here on, until the next state is put.
        self.model.realizeVelocity(self.state)
        self.model.setControls(self.state, opensim.Vector.createFromMat(np.ascontiguousarray(e)))

    def _places(self, names: list[str]) -> NDArray[np.intp]:
        """Where the named state variables stand in Y. Its order is not that of their names, so each is moved alone."""
        places = []
        for name in names:
            self.state.setY(opensim.Vector.createFromMat(self._y))
            self.model.setStateVariableValue(self.state, name, self.model.getStateVariableValue(self.state, name) + 1)
            moved = np.flatnonzero(self.state.getY().to_numpy() != self._y)
            if len(moved) != 1:
                raise ValueError(f"{name} moves {len(moved)} numbers of OpenSim's state, not 1; is it constrained?")
            places.append(int(moved[0]))
        return np.array(places, dtype=np.intp)

    def _check(self, locked: int) -> None:
        known = np.concatenate((self._q, self._u, self._a, self._l))
        expected = len(known) + 2 * locked
        if len(np.unique(known)) != len(known) or len(self._y) != expected:
            raise ValueError(
                f"OpenSim's state has {len(self._y)} numbers, of which coordinates and muscles are {expected}; has "
                f"{self.path.name} a component with states of its own?"
            )
