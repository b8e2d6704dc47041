"""What a new run is asked to be: its settings, and the stored run whose timesteps it learns from as well.

States are stored raw, so a stored run can be learned from again under another observation or reward.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.config import RunConfig, check_run_name, load_config, names_setting
from agents.plain import ConfigError
from agents.recipes import recipe_file, recipe_names
from agents.replay.backlog import is_experience
from agents.replay.contract import Replay
from agents.starts_options import Wish, add_starts_options, starts_wishes

SHARE = 0.5
"""Of every batch, for the stored run: as much as for what is new, as Ball et al. sample (arXiv 2302.02948)."""
_SHORTCUTS = {
    "task": "environment.task",
    "physics": "environment.physics",
    "observation": "environment.observation",
    "reward": "environment.reward",
    "hindsight": "replay.hindsight_share",
}
"""Option -> the setting that it is short for."""


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """The command line's wishes. What none of them names is as the stored run has it, else the default."""

    config: Path | None = None
    settings: Sequence[str] = ()
    """`name.name=value`, on top of the file."""
    learn_from: str | None = None
    """The stored run."""
    share: float | None = None
    """Of every batch, for the stored run; None is `SHARE`."""

    def __post_init__(self) -> None:
        if self.learn_from is not None:
            check_run_name(self.learn_from)
        if self.share is not None and self.learn_from is None:
            raise ConfigError(f"--share {self.share:g} is of a stored run; name it with --from")
        if self.share is not None and not 0 < self.share <= 1:
            raise ConfigError(f"--share {self.share:g} must be above 0 and at most 1, the whole batch")

    @classmethod
    def asked(cls, options: argparse.Namespace) -> NewRun:
        """From what `add_options` added. Raises: ConfigError for two answers to one question."""
        settings = list(options.set)
        config = _file(options)
        wishes = [
            Wish(f"--{option} {value}", name, value)
            for option, name in _SHORTCUTS.items()
            if (value := getattr(options, option)) is not None
        ]
        for wish in (*wishes, *starts_wishes(options)):
            if not wish.written and config is not None and names_setting(config, wish.setting):
                continue
            for setting in options.set:
                other = setting.partition("=")[0].strip()
                if wish.setting == other or wish.setting.startswith(f"{other}."):
                    short = f"{wish.option} is short for --set {wish.setting}={wish.value}"
                    raise ConfigError(f"{short}; leave out --set {setting}")
            settings.append(f"{wish.setting}={wish.value}")
        return cls(config=config, settings=settings, learn_from=options.learn_from, share=options.share)

    def arguments(self) -> list[str]:
        """The same for `python -m agents create`."""
        found = ["--config", str(self.config)] if self.config else []
        for setting in self.settings:
            found += ["--set", setting]
        found += ["--from", self.learn_from] if self.learn_from else []
        return found + (["--share", str(self.share)] if self.share is not None else [])

    def check(self) -> None:
        """Raises: ConfigError for what no stored run could make right."""
        if self.learn_from is None:
            load_config(self.config, self.settings)

    def configuration(self, run: str, replay: Replay) -> RunConfig:
        """Of the run of that name; if it is stored already, it has to have been made so.

        Raises: ConfigError; KeyError when there is no run to learn from.
        """
        stored = replay.run(run).config if run in replay.runs() else None
        # What is not asked for is as the run has it, so that going on with it needs no repetition of its settings.
        base = stored
        if self.learn_from is not None and stored is None:
            base = self._as_the_stored_one(self.learn_from, replay)
        config = load_config(self.config, self.settings, base)
        if self.learn_from is not None:
            self._check_share(self.learn_from, config.replay.partitions, made=stored is not None)
        if stored is not None:
            _refuse_other_settings(run, RunConfig.of(stored).plain(), config.plain())
        return config

    def _as_the_stored_one(self, name: str, replay: Replay) -> dict[str, Any]:
        """The stored run's configuration, and its timesteps beside what it learned from itself."""
        plain = RunConfig.of(replay.run(name).config).plain()
        if not any(episode.length for episode in replay.episodes_after(name, {}) if is_experience(episode)):
            raise ConfigError(f"run {name!r} holds no timestep to learn from, evaluations aside")
        share = SHARE if self.share is None else self.share
        rest, own = 1.0 - share, plain["replay"]
        own["partitions"] = {other: rest * part for other, part in own["partitions"].items() if rest} | {name: share}
        own["hindsight_share"] *= rest
        # The stored timesteps are there: nothing has to be explored first.
        own["explore_timesteps"] = 0
        return plain

    def _check_share(self, name: str, partitions: Mapping[str, float], *, made: bool) -> None:
        found = partitions.get(name)
        if found is not None and self.share in (None, found):
            return
        asked = f"--from {name}" + ("" if self.share is None else f" --share {self.share:g}")
        way_out = (
            "a run keeps its settings: choose another name" if made else "--set or --config says so: leave one out"
        )
        raise ConfigError(f"{asked} does not agree with replay.partitions = {dict(partitions)}; {way_out}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """What a new run can be asked to be, for `NewRun.asked`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file of settings")
    parser.add_argument(
        "--recipe", metavar="NAME", help=f"one of the files in agents/recipes: {', '.join(recipe_names())}"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, e.g. learner.batch_size=128"
    )
    parser.add_argument(
        "--from", dest="learn_from", metavar="STORED", help="set up as this run, and learning from its timesteps too"
    )
    parser.add_argument("--share", type=float, metavar="S", help=f"of every batch, for STORED (default: {SHARE})")
    parser.add_argument("--task", metavar="T", help="e.g. prosthetics-round1 (default: prosthetics-round2)")
    parser.add_argument("--physics", metavar="P", help="the simulator (default: native)")
    parser.add_argument("--observation", metavar="NAME", help="what the policy sees, e.g. original")
    parser.add_argument("--reward", metavar="NAME", help="what is learned for, e.g. round1 (default: the task's)")
    parser.add_argument(
        "--hindsight", metavar="SHARE", help="of every batch, seen as if the reached velocity had been asked for"
    )
    add_starts_options(parser)


def _file(options: argparse.Namespace) -> Path | None:
    config: Path | None = options.config
    if options.recipe is None:
        return config
    if config is not None:
        raise ConfigError(f"--recipe {options.recipe} names a configuration file too; leave out --config {config}")
    return recipe_file(options.recipe)


def _refuse_other_settings(run: str, stored: dict[str, Any], asked: dict[str, Any]) -> None:
    """A run keeps the configuration it was made with; other settings must not be ignored in silence."""
    for section, settings in asked.items():
        for name, value in settings.items():
            found = stored.get(section, {}).get(name)
            if found != value:
                raise ConfigError(
                    f"run {run!r} exists with {section}.{name} = {found!r}, asked for is {value!r}; a run keeps its "
                    "settings: choose another name, or leave the setting out to go on with this run"
                )
