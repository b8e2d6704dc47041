"""How a run was made: everything that somebody needs to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.config import RunConfig, load_config
from agents.plain import ConfigError
from agents.recipes import recipe_file, recipe_names
from agents.replay.runs import Run
from infra.report.timeline import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Of one run."""

    recipe: str | None
    """Whose settings it has, but for `settings`; None: the defaults'."""
    settings: Sequence[str]
    """`name.name=value` for `--set`, where the run differs from the recipe as it is now."""
    commands: Sequence[str]
    """That were typed, each once, in their order; empty when sessions of older code did not note them."""
    code_versions: Sequence[str]
    machines: Sequence[str]
    sessions: int

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "recipe": self.recipe,
            "settings": list(self.settings),
            "commands": list(self.commands),
            "code_versions": list(self.code_versions),
            "machines": list(self.machines),
            "sessions": self.sessions,
        }


def origin_of(run: Run, timeline: Timeline) -> Origin:
    """From the run's document and what its sessions noted."""
    facts = [part.facts for part in timeline.parts]
    recipe, settings = _recipe(RunConfig.of(run.config), _noted(facts, "recipe"))
    places = [f"{one['processor']}, {one['cores']} cores" for one in facts if "processor" in one]
    return Origin(
        recipe=recipe,
        settings=settings,
        commands=_noted(facts, "command"),
        code_versions=list(dict.fromkeys([run.code_version, *_noted(facts, "code_version")])),
        machines=list(dict.fromkeys(places)),
        sessions=0 if timeline.by_hand else len(timeline.parts),
    )


def differences(base: Mapping[str, Any], found: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Settings that lead from one plain configuration to the other, as `--set` takes them."""
    settings = []
    for name, value in found.items():
        path, before = f"{prefix}{name}", base.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping) and not set(before) - set(value):
            settings += differences(before, value, f"{path}.")
        elif value != before or name not in base:
            settings.append(f"{path}={json.dumps(value)}")
    return settings


def _recipe(config: RunConfig, noted: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The recipe that the run names, else the one that it differs from the least."""
    plain = config.plain()
    candidates: Sequence[str | None] = [name for name in noted if name in recipe_names()][:1]
    candidates = candidates or [None, *recipe_names()]
    found: dict[str | None, Sequence[str]] = {}
    for name in candidates:
        base = load_config().plain() if name is None else _settings_of(name, config)
        if base is not None:
            found[name] = differences(base, plain)
    if not found:
        found[None] = differences(load_config().plain(), plain)
    return min(found.items(), key=lambda item: len(item[1]))


def _settings_of(recipe: str, config: RunConfig) -> dict[str, Any] | None:
    """A recipe's, without the motion that one of them is only valid with; None for one that this run can not be of."""
    motions = list(config.starts.motions)
    try:
        return load_config(recipe_file(recipe)).plain()
    except ConfigError:
        if not motions:
            return None
    plain = load_config(recipe_file(recipe), [f"starts.motions={json.dumps(motions)}"]).plain()
    plain["starts"]["motions"], plain["environment"]["motion"] = [], None
    return plain


def _noted(facts: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    return list(dict.fromkeys(str(one[name]) for one in facts if one.get(name) is not None))
