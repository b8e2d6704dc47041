"""Recipes: settings that together lead somewhere, one TOML file each in this folder. `--recipe NAME` names one.

What a recipe is without one of its ingredients stands in `ablations/NAME.toml`.
"""

from __future__ import annotations

from pathlib import Path

from agents.plain import ConfigError

_FOLDER = Path(__file__).parent


def recipe_names() -> list[str]:
    """Of all that there are, sorted."""
    return sorted(file.stem for file in _FOLDER.glob("*.toml"))


def recipe_file(name: str) -> Path:
    """The configuration file. Raises: ConfigError with the names that exist."""
    if name not in recipe_names():
        raise ConfigError(f"there is no recipe {name!r}; there are {', '.join(recipe_names())}")
    return _FOLDER / f"{name}.toml"


def ablations_file(recipe: str) -> Path:
    """The file of a recipe's ablations. Raises: ConfigError when there is no such recipe, or it has none."""
    path = recipe_file(recipe).parent / "ablations" / f"{recipe}.toml"
    if not path.is_file():
        have = sorted(file.stem for file in path.parent.glob("*.toml"))
        raise ConfigError(f"recipe {recipe!r} has no ablations; {', '.join(have)} has")
    return path
