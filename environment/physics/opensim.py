"""The reference physics: OpenSim itself. The only importer of `opensim`.

Against osim-rl's use of it: nothing is stored per step, nothing is printed, the integrator can be chosen, excitations
are the model's default controls instead of a controller's functions, and by default locked coordinates are taken out
of the model and a new excitation acts from the first moment of its step. In osim-rl changing an excitation does not
invalidate the state, so the first integrator stage of each step still uses the previous one; `stale_controls=True`
brings that back, for comparison and official scores.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.physics.contract import SimulationError, Snapshot, check_excitation
from environment.physics.integration import Integration
from environment.physics.models import file_sha256
from environment.physics.opensim_libraries import load_libraries_first
from environment.physics.opensim_locked import weld_locked
from environment.physics.opensim_reader import StateReader, WeldedReader
from environment.physics.settings import OpenSimSettings
from environment.physics.start_state import check_start
from environment.state import StateLayout
from environment.timestep import CONTROL_STEP_S

load_libraries_first()
with warnings.catch_warnings():
    # SWIG's generated classes have no __module__, which Python 3.11 and later deprecate.
    warnings.simplefilter("ignore", DeprecationWarning)
    import opensim

# Without this every reset prints; it is process-wide by OpenSim's design.
opensim.Logger.setLevelString("off")

FAST = OpenSimSettings()
"""For rollouts: five to six times as fast as osim-rl. Over a fall the centre of mass stays within a millimetre of the
tight solution for most steps, and within some centimetres close to the impact, where small differences grow fast. The
return is off by 0.2% in the median fall and by some per cent in a few."""
OFFICIAL = OpenSimSettings("RungeKuttaMerson", 5e-5, stale_controls=True)
"""osim-rl's own: for scores that can be compared with the challenge's."""


class OpenSimPhysics:
    """`Physics` by OpenSim's own integrator, muscles and contacts."""

    def __init__(self, model: Path, settings: OpenSimSettings = FAST) -> None:
        self._settings = settings
        self._integration: Integration | None = None
        """Of this episode, and of those after it; None is as the settings say."""
        self._model_sha256 = file_sha256(model)
        self._model, self._reader = _load(model, settings.welded)
        self._method = getattr(opensim.Manager, f"IntegratorMethod_{settings.integrator}")
        muscles = self._model.getMuscles()
        self._muscles = tuple(muscles.get(i).getName() for i in range(muscles.getSize()))
        self._excitation = np.zeros(len(self._muscles))
        self._step = 0
        self._last: NDArray[np.float64] | None = None
        self._state: Any = None
        self._manager: Any = None

    @property
    def name(self) -> str:
        return self._settings.name

    @property
    def layout(self) -> StateLayout:
        return self._reader.layout

    @property
    def muscles(self) -> tuple[str, ...]:
        return self._muscles

    @property
    def model_sha256(self) -> str:
        return self._model_sha256

    def integrate_as(self, integration: Integration | None) -> None:
        if integration is not None:
            self._settings.check(integration)
        self._integration = integration

    def reset(self) -> NDArray[np.float64]:
        self._last = None
        return self._read_after(lambda: self._begin(self._model.equilibrateMuscles), "reset")

    def start_at(self, state: NDArray[Any]) -> NDArray[np.float64]:
        values = check_start(state, self.layout, self._reader.locked)
        self._last = None
        return self._read_after(lambda: self._begin(lambda fresh: self._reader.write(fresh, values)), "start")

    def _begin(self, place: Callable[[Any], None]) -> None:
        """An episode at time 0, in the state that `place` makes of the model's own."""
        # It starts from osim-rl's initial controls, whatever the last one ended with.
        self._set_controls(np.ones(len(self._muscles)))
        self._state = self._model.initializeState()
        place(self._state)
        self._state.setTime(0.0)
        self._step = 0
        self._excitation = np.zeros(len(self._muscles))
        self._renew_manager()

    def step(self, excitation: NDArray[Any]) -> NDArray[np.float64]:
        values = check_excitation(excitation, len(self._muscles))
        if self._state is None:
            raise RuntimeError("step before reset: the simulator has no state yet")
        stale = (self._integration or self._settings.own).stale_controls

        def integrate() -> None:
            self._set_controls(values)
            if not stale:
                self._model.markControlsAsInvalid(self._state)
            self._state = self._manager.integrate(CONTROL_STEP_S * (self._step + 1))
            self._step += 1
            self._excitation = values.copy()

        return self._read_after(integrate, f"control step {self._step + 1}", values)

    def snapshot(self) -> Snapshot:
        if self._state is None:
            raise RuntimeError("snapshot before reset: the simulator has no state yet")
        return Snapshot(
            time_s=self._state.getTime(),
            step=self._step,
            y=self._state.getY().to_numpy().copy(),
            excitation=self._excitation.copy(),
            integration=self._integration,
        )

    def restore(self, snapshot: Snapshot) -> NDArray[np.float64]:
        states = self._model.getNumStateVariables()
        if snapshot.y.shape != (states,):
            raise ValueError(
                f"snapshot holds {snapshot.y.shape} continuous states, {self.name} has ({states},); was it taken with "
                "another model, or with locked coordinates constrained instead of welded?"
            )

        self.integrate_as(snapshot.integration)

        def put_back() -> None:
            self._set_controls(snapshot.excitation)
            # The state at hand belongs to the manager that goes; the model's own outlives it.
            self._state = self._model.initializeState()
            self._state.setTime(snapshot.time_s)
            self._state.setY(opensim.Vector.createFromMat(snapshot.y))
            self._model.markControlsAsInvalid(self._state)
            self._step = snapshot.step
            self._excitation = snapshot.excitation.copy()
            self._renew_manager()

        return self._read_after(put_back, "restore")

    def close(self) -> None:
        self._manager = None
        self._state = None

    def _renew_manager(self) -> None:
        """A manager keeps the integrator's history, so a new episode takes a new one."""
        self._manager = opensim.Manager(self._model)
        self._manager.setIntegratorMethod(self._method)
        self._manager.setIntegratorAccuracy((self._integration or self._settings.own).accuracy)
        if not self._settings.as_osim_rl:
            self._manager.setIntegratorMaximumStepSize(self._settings.longest_step_s)
        self._manager.setWriteToStorage(False)
        self._manager.setPerformAnalyses(False)
        self._manager.initialize(self._state)

    def _set_controls(self, values: NDArray[np.float64]) -> None:
        controls = self._model.updDefaultControls()
        for i, value in enumerate(values.tolist()):
            controls.set(i, value)

    def _read_after(
        self, work: Callable[[], None], what: str, excitation: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """The state after `work`; a failure carries the last good one and the excitation that was held."""
        last = self._last
        try:
            work()
            vector = self._reader.read(self._state)
        except RuntimeError as error:  # every C++ exception of OpenSim and Simbody arrives as one
            reason = " ".join(str(error).split())
            message = f"OpenSim failed in {what}: {reason[:300]}"
            raise SimulationError(message, state=last, excitation=excitation) from error
        if not np.isfinite(vector).all():
            first = self.layout.names[int(np.flatnonzero(~np.isfinite(vector))[0])]
            raise SimulationError(f"OpenSim's {first} is not finite after {what}", state=last, excitation=excitation)
        self._last = vector.copy()
        return vector


def read_storage(path: Path) -> tuple[NDArray[np.float64], tuple[str, ...], NDArray[np.float64], bool]:
    """What OpenSim reads of a .sto or .mot file: times (T,) in s, column names (C,), values (T, C), and whether
    rotations are in degrees.

    Raises: RuntimeError by OpenSim.
    """
    table = opensim.TimeSeriesTable(str(path))
    said = table.getTableMetaDataAsString("inDegrees") if table.hasTableMetaDataKey("inDegrees") else "no"
    times_s = np.array(table.getIndependentColumn(), dtype=np.float64)
    values = table.getMatrix().to_numpy().astype(np.float64)
    return times_s, tuple(table.getColumnLabels()), values, said.strip().lower() in ("yes", "true", "1")


def _load(path: Path, weld: bool) -> tuple[Any, StateReader]:
    """The model, without its locked coordinates where wished and possible, and a reader of its states."""
    published = opensim.Model(str(path))
    state = published.initSystem()
    published.setUseVisualizer(False)
    reader = StateReader(published)
    if not weld:
        return published, reader
    with tempfile.TemporaryDirectory() as folder:
        # OpenSim builds a whole model from nothing but a file.
        file = Path(folder) / path.name
        published.printToXML(str(file))
        text, removed = weld_locked(file.read_text(encoding="utf-8"), published, state)
        if not removed:
            return published, reader
        file.write_text(text, encoding="utf-8")
        model = opensim.Model(str(file))
    model.initSystem()
    model.setUseVisualizer(False)
    return model, WeldedReader(model, reader, reader.read(state))
