"""Where the body models are: the `.osim` files that osim-rl ships."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

MODELS = {
    "3D_pros": "gait14dof22musc_pros_20180507.osim",
    "3D": "gait14dof22musc_20170320.osim",
    "2D_pros": "gait14dof22musc_planar_pros_20180507.osim",
    "2D": "gait14dof22musc_planar_20170320.osim",
}
"""The challenge's models by osim-rl's keys: three-dimensional or planar, with the prosthesis or intact."""


def model_path(model: str) -> Path:
    """The `.osim` file of a model key, found without importing osim-rl (its package imports the retired `gym`).

    Raises:
        KeyError: No such model key.
        FileNotFoundError: osim-rl is not installed, or lacks the file.
    """
    if model not in MODELS:
        raise KeyError(f"no model {model!r}; there are {', '.join(MODELS)}")
    package = importlib.util.find_spec("osim")
    if package is None or not package.submodule_search_locations:
        raise FileNotFoundError("the model files come with osim-rl, which is not installed; run `make setup`")
    path = Path(package.submodule_search_locations[0]) / "models" / MODELS[model]
    if not path.is_file():
        raise FileNotFoundError(f"osim-rl is installed without {MODELS[model]}; version 2.1.5 is needed")
    return path


def file_sha256(path: Path) -> str:
    """Checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
