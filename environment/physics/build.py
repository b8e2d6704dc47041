"""Chooses the simulator that a configuration names."""

from __future__ import annotations

from environment.config import EnvironmentConfig
from environment.physics.contract import Physics
from environment.physics.models import model_path
from environment.physics.native.settings import NativeSettings
from environment.tasks import task


def build_physics(config: EnvironmentConfig) -> Physics:
    """The simulator of `config`, with the model of its task.

    Raises: FileNotFoundError when the model files are missing.
    """
    path = model_path(task(config.task).model)
    settings = config.physics_settings
    # Imported here: OpenSim and the compiled engine take a second to load, and most of the code runs without them.
    if isinstance(settings, NativeSettings):
        from environment.physics.native.physics import NativePhysics

        return NativePhysics(path, settings)
    from environment.physics.opensim import OpenSimPhysics

    return OpenSimPhysics(path, settings)
