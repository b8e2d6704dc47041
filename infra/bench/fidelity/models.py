"""The model files that an engine is compared on: osim-rl's of 2017 and 2018, and its arm."""

from __future__ import annotations

from pathlib import Path

from environment.physics.models import MODELS, model_path

OTHERS = {
    "2017": "gait9dof18musc_20170320.osim",
    "2017_stiff": "gait9dof18musc.osim",
    "arm": "arm2dof6musc.osim",
}
"""`2017` is the one of that year's challenge; `2017_stiff` its sibling with a harder floor and a heavier head."""
NAMES = (*MODELS, *OTHERS)


def fidelity_model_path(name: str) -> Path:
    """Raises: KeyError for an unknown name, FileNotFoundError when the files are missing."""
    if name in MODELS:
        return model_path(name)
    if name not in OTHERS:
        raise KeyError(f"no model {name!r}; there are {', '.join(NAMES)}")
    path = model_path("3D").parent / OTHERS[name]
    if not path.is_file():
        raise FileNotFoundError(f"osim-rl is installed without {OTHERS[name]}; version 2.1.5 is needed")
    return path
