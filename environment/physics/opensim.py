"""The reference physics: OpenSim itself. The only importer of `opensim`.

Against osim-rl's use of it: nothing is stored per step, nothing is printed, the integrator can be chosen, and by
default a new excitation acts from the first moment of its step. In osim-rl changing a controller's constant does not
invalidate the state, so the first integrator stage of each step still uses the previous excitation;
`stale_controls=True` brings that back, for comparison and official scores.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.physics.contract import SimulationError, Snapshot, check_excitation
from environment.physics.models import file_sha256
from environment.physics.opensim_reader import StateReader
from environment.physics.settings import OpenSimSettings
from environment.state import StateLayout
from environment.timestep import CONTROL_STEP_S

with warnings.catch_warnings():
    # SWIG's generated classes have no __module__, which Python 3.11 and later deprecate.
    warnings.simplefilter("ignore", DeprecationWarning)
    import opensim

# Without this every reset prints; it is process-wide by OpenSim's design.
opensim.Logger.setLevelString("off")

FAST = OpenSimSettings()
"""For rollouts: 2-3 times as fast as osim-rl. Over a fall the centre of mass stays within a millimetre of the tight
solution for most steps, and within some centimetres close to the impact, where small differences grow fast."""
OFFICIAL = OpenSimSettings("RungeKuttaMerson", 5e-5, stale_controls=True)
"""osim-rl's own: for scores that can be compared with the challenge's."""


class OpenSimPhysics:
    """`Physics` by OpenSim's own integrator, muscles and contacts."""

    def __init__(self, model: Path, settings: OpenSimSettings = FAST) -> None:
        self._settings = settings
        self._model_sha256 = file_sha256(model)
        self._model = _load(model)
        self._controls = _constant_controls(self._model)
        self._method = getattr(opensim.Manager, f"IntegratorMethod_{settings.integrator}")
        self._reader = StateReader(self._model)
        self._muscles = tuple(muscle.getName() for muscle in self._reader.muscles)
        self._excitation = np.zeros(len(self._muscles))
        self._step = 0
        self._state: Any = None
        self._manager: Any = None

    @property
    def name(self) -> str:
        stale = "/stale-controls" if self._settings.stale_controls else ""
        return f"opensim/{self._settings.integrator}/{self._settings.accuracy:g}{stale}"

    @property
    def layout(self) -> StateLayout:
        return self._reader.layout

    @property
    def muscles(self) -> tuple[str, ...]:
        return self._muscles

    @property
    def model_sha256(self) -> str:
        return self._model_sha256

    def reset(self) -> NDArray[np.float64]:
        def start() -> None:
            # A new episode starts from osim-rl's initial controls, whatever the last one ended with.
            self._set_controls(np.ones(len(self._muscles)))
            self._state = self._model.initializeState()
            self._model.equilibrateMuscles(self._state)
            self._state.setTime(0.0)
            self._step = 0
            self._excitation = np.zeros(len(self._muscles))
            self._renew_manager()

        return self._read_after(start, "reset")

    def step(self, excitation: NDArray[Any]) -> NDArray[np.float64]:
        values = check_excitation(excitation, len(self._muscles))
        if self._state is None:
            raise RuntimeError("step before reset: the simulator has no state yet")

        def integrate() -> None:
            self._set_controls(values)
            if not self._settings.stale_controls:
                self._model.markControlsAsInvalid(self._state)
                self._state.updQ()  # drops the realised stages, so that the new controls are looked up
            self._state = self._manager.integrate(CONTROL_STEP_S * (self._step + 1))
            self._step += 1
            self._excitation = values.copy()

        return self._read_after(integrate, f"control step {self._step + 1}")

    def snapshot(self) -> Snapshot:
        if self._state is None:
            raise RuntimeError("snapshot before reset: the simulator has no state yet")
        return Snapshot(
            time_s=self._state.getTime(),
            step=self._step,
            y=self._state.getY().to_numpy().copy(),
            excitation=self._excitation.copy(),
        )

    def restore(self, snapshot: Snapshot) -> NDArray[np.float64]:
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
        self._manager.setIntegratorAccuracy(self._settings.accuracy)
        self._manager.setWriteToStorage(False)
        self._manager.setPerformAnalyses(False)
        self._manager.initialize(self._state)

    def _set_controls(self, values: NDArray[np.float64]) -> None:
        for constant, value in zip(self._controls, values.tolist(), strict=True):
            constant.setValue(value)

    def _read_after(self, work: Callable[[], None], what: str) -> NDArray[np.float64]:
        try:
            work()
            vector = self._reader.read(self._state)
        except RuntimeError as error:  # every C++ exception of OpenSim and Simbody arrives as one
            reason = " ".join(str(error).split())
            raise SimulationError(f"OpenSim failed in {what}: {reason[:300]}") from error
        if not np.isfinite(vector).all():
            first = self.layout.names[int(np.flatnonzero(~np.isfinite(vector))[0])]
            raise SimulationError(f"OpenSim's {first} is not finite after {what}")
        return vector


def _load(path: Path) -> Any:
    model = opensim.Model(str(path))
    model.initSystem()
    model.setUseVisualizer(False)
    return model


def _constant_controls(model: Any) -> list[Any]:
    """Gives every muscle a constant excitation that can be changed between steps."""
    controller = opensim.PrescribedController()
    muscles = model.getMuscles()
    for i in range(muscles.getSize()):
        muscle = muscles.get(i)
        controller.addActuator(muscle)
        controller.prescribeControlForActuator(muscle.getAbsolutePathString(), opensim.Constant(1.0))
    # The model owns the controller from here on; Python must not free it too.
    controller.this.disown()
    model.addController(controller)
    model.initSystem()
    functions = opensim.PrescribedController.safeDownCast(model.getControllerSet().get(0)).get_ControlFunctions()
    return [opensim.Constant.safeDownCast(functions.get(i)) for i in range(functions.getSize())]
