"""Reads OpenSim's model files (`.osim`) without OpenSim, into a `BodyModel`: all of a model, or a refusal."""

from environment.osim_file.errors import DamagedModel, UnsupportedModel
from environment.osim_file.model import read_model

__all__ = ["DamagedModel", "UnsupportedModel", "read_model"]
