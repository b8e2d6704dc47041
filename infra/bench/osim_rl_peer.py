"""osim-rl 2.1.5's own `ProstheticsEnv`, made to run on OpenSim 4.6: the benchmarks' peer and the tests' oracle.

Two things are changed, neither of them physics: a muscle's control is prescribed by its path (4.6 throws on an
integer), and the integrator can be chosen. The class-level `maxforces` list is emptied, or it grows with every
environment. What it does per step (storage on, its dictionary of the state) is left as it is, and OpenSim is imported
as osim-rl imports it, without `environment.physics.opensim_libraries`: to be measured it needs a process of its own.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
    # osim-rl imports the retired gym, which says so on stderr and uses names that numpy deprecates.
    warnings.simplefilter("ignore")
    import osim.env.osim as osim_rl

__all__ = ["osim_rl", "osim_rl_environment"]

opensim: Any = osim_rl.opensim
# Without this every reset prints.
opensim.Logger.setLevelString("off")


class _Model(osim_rl.OsimModel):  # type: ignore[misc]
    integrator = "RungeKuttaMerson"

    def __init__(self, model_path: str, visualize: bool, integrator_accuracy: float = 5e-5) -> None:
        self.maxforces: list[float] = []
        self.curforces: list[float] = []
        original = opensim.PrescribedController.prescribeControlForActuator

        def by_path(controller: Any, actuator: Any, function: Any) -> None:
            if isinstance(actuator, int):
                actuator = self.muscleSet.get(actuator).getAbsolutePathString()
            original(controller, actuator, function)

        opensim.PrescribedController.prescribeControlForActuator = by_path
        try:
            super().__init__(model_path, visualize, integrator_accuracy)
        finally:
            opensim.PrescribedController.prescribeControlForActuator = original

    def reset_manager(self) -> None:
        self.manager = opensim.Manager(self.model)
        self.manager.setIntegratorMethod(getattr(opensim.Manager, f"IntegratorMethod_{self.integrator}"))
        self.manager.setIntegratorAccuracy(self.integrator_accuracy)
        self.manager.initialize(self.state)


def osim_rl_environment(
    *,
    difficulty: int = 1,
    seed: int = 1,
    integrator: str = "RungeKuttaMerson",
    accuracy: float = 5e-5,
    model: str = "3D_pros",
) -> Any:
    """A `ProstheticsEnv` of that round (0 or 1), model and integrator; the defaults are the challenge's second round.

    `step(excitations, project=False)` gives osim-rl's dictionary of the state, its reward and whether it is done.
    """
    kind = type("_ChosenModel", (_Model,), {"integrator": integrator})
    before = osim_rl.OsimModel
    osim_rl.OsimModel = kind
    try:
        dimensions, _, leg = model.partition("_")
        chosen = type("_ChosenEnv", (osim_rl.ProstheticsEnv,), {"model": dimensions, "prosthetic": leg == "pros"})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # gym on the precision of its spaces
            return chosen(visualize=False, integrator_accuracy=accuracy, difficulty=difficulty, seed=seed)
    finally:
        osim_rl.OsimModel = before
