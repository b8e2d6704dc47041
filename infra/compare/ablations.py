"""A recipe's ingredients, taken away one at a time: which runs that makes, and playing those that are missing."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.config import check_run_name, load_config
from agents.new_run import NewRun
from agents.plain import ConfigError
from agents.recipes import ablations_file, recipe_file
from infra.compare.groups import Group
from infra.run import RunOptions

WHOLE = "whole"
"""Name of the variant that is the recipe itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A recipe with some settings on top."""

    name: str
    about: str
    settings: tuple[str, ...]
    """`name.name=value`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """What `python -m infra ablate` was asked for."""

    recipe: str
    seeds: tuple[int, ...]
    """Of the learner; every variant is trained with each of them."""
    updates: int
    """Budget of every run. In updates, so that a busy machine changes the clock and not the comparison."""
    only: tuple[str, ...] = ()
    """Variants; empty: all. The recipe itself always is one."""
    settings: tuple[str, ...] = ()
    """On top of every variant's."""
    prefix: str | None = None
    """Of the runs' names; None: the recipe's name."""

    def __post_init__(self) -> None:
        if self.updates < 1:
            raise ValueError(f"--updates {self.updates} must be at least 1")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"--seeds {list(self.seeds)} must be different ones, at least one")
        check_run_name(self.run_of(WHOLE, self.seeds[0]))

    def run_of(self, variant: str, seed: int) -> str:
        """The run's name."""
        return f"{self.prefix or self.recipe}.{variant}.{seed}"

    def variants(self) -> list[Variant]:
        """The recipe itself, and those asked for. Raises: ConfigError for one that does not exist or can not be."""
        found = read_variants(self.recipe)
        unknown = sorted(set(self.only) - {one.name for one in found})
        if unknown:
            known = ", ".join(one.name for one in found)
            raise ConfigError(f"recipe {self.recipe} has no ablation {', '.join(unknown)}; there are {known}")
        chosen = [one for one in found if not self.only or one.name in self.only]
        every = [Variant(name=WHOLE, about="the recipe as it is", settings=()), *chosen]
        for one in every:
            load_config(recipe_file(self.recipe), self._settings(one, self.seeds[0]))
        return every

    def runs(self) -> Iterator[RunOptions]:
        """Seed by seed, so that whoever stops early can compare what is there."""
        for seed in self.seeds:
            for one in self.variants():
                new = NewRun(config=recipe_file(self.recipe), settings=self._settings(one, seed))
                yield RunOptions(name=self.run_of(one.name, seed), updates=self.updates, recipe=self.recipe, new=new)

    def groups(self, scored: Callable[[str], bool]) -> list[Group]:
        """Those of the runs for which `scored` says so, by variant."""
        named = {one.name: [self.run_of(one.name, seed) for seed in self.seeds] for one in self.variants()}
        there = {name: tuple(run for run in runs if scored(run)) for name, runs in named.items()}
        return [Group(name, runs) for name, runs in there.items() if runs]

    def _settings(self, variant: Variant, seed: int) -> Sequence[str]:
        return (*variant.settings, *self.settings, f"learner.seed={seed}")


def read_variants(recipe: str) -> list[Variant]:
    """Of the recipe's file of ablations. Raises: ConfigError when it has none, or one that says something else."""
    path = ablations_file(recipe)
    return [_variant(name, table, path) for name, table in tomllib.loads(path.read_text()).items()]


def _variant(name: str, table: Mapping[str, Any], path: Path) -> Variant:
    settings = table.get("set")
    if (
        set(table) != {"about", "set"}
        or not isinstance(settings, list)
        or not all(isinstance(s, str) for s in settings)
    ):
        raise ConfigError(f"{path.name}: [{name}] must have `about`, and `set` with a list of settings; found {table}")
    return Variant(name=name, about=str(table["about"]), settings=tuple(settings))
