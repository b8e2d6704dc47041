"""Chooses the simulator that a configuration names."""

from __future__ import annotations

from environment.config import EnvironmentConfig
from environment.physics.contract import Physics
from environment.physics.models import model_path
from environment.physics.settings import OpenSimSettings
from environment.tasks import task


def build_physics(config: EnvironmentConfig) -> Physics:
    """The simulator of `config`, with the model of its task.

    Raises: FileNotFoundError when the model files are missing.
    """
    # Imported here: OpenSim takes a second to load, and most of the code runs without it.
    from environment.physics.opensim import OpenSimPhysics

    settings = OpenSimSettings(config.integrator, config.accuracy, config.stale_controls)
    return OpenSimPhysics(model_path(task(config.task).model), settings)
