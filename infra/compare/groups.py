"""Which runs are compared: groups of alike ones, each from the database or from a report's `curves.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.config import check_run_name
from agents.replay.contract import Replay
from infra.report.curve import Curve, curve_of
from infra.report.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ in nothing but their seeds, by the name that the comparison gives them."""

    label: str
    sources: tuple[str, ...]
    """Names of stored runs, and paths of `curves.json` that `python -m infra report` wrote, here or elsewhere."""

    @classmethod
    def of(cls, text: str) -> Group:
        """`walk=s1,s2,elsewhere/curves.json`; without a label, the first source is it. Raises: ValueError."""
        label, equals, rest = text.partition("=")
        sources = tuple(part.strip() for part in (rest if equals else text).split(","))
        if not label.strip() or not all(sources):
            raise ValueError(
                f"{text!r} is no group of runs; needed LABEL=RUN,RUN,…, each a run's name or a curves.json"
            )
        for source in sources:
            if not _is_file(source):
                check_run_name(source)
        return cls(label.strip() if equals else sources[0], sources)

    @property
    def stored(self) -> tuple[str, ...]:
        """Those of the sources that are runs in the database."""
        return tuple(source for source in self.sources if not _is_file(source))


Curves = Mapping[str, Sequence[Curve]]
"""By the label of the group."""


def curves_of(groups: Sequence[Group], replay: Replay | None) -> Curves:
    """The curves of all groups.

    Args:
        replay: Where stored runs are; None when no group names one.

    Raises: ValueError when a run does not exist or has no score, or when scores are of different seeds or physics.
    """
    labels = [group.label for group in groups]
    if len(set(labels)) < len(labels):
        raise ValueError(f"groups are called {', '.join(labels)}; needed another name for each")
    named = [(group.label, source, _curve(source, replay)) for group in groups for source in group.sources]
    (_, first, reference), *others = named
    for _, name, curve in others:
        if (curve.physics, curve.seeds, curve.reference) != (reference.physics, reference.seeds, reference.reference):
            raise ValueError(
                f"{name} is scored on {_scored_on(curve)}, {first} on {_scored_on(reference)}; only scores of the same "
                "physics and seeds can be compared"
            )
    return {label: [curve for other, _, curve in named if other == label] for label in labels}


def _curve(source: str, replay: Replay | None) -> Curve:
    if _is_file(source):
        try:
            return Curve.of(json.loads(Path(source).read_text()))
        except FileNotFoundError:
            raise ValueError(
                f"there is no file {source}; `python -m infra report --run NAME` writes curves.json"
            ) from None
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{source} is no curves.json of a report: {error!r}") from error
    if replay is None or source not in replay.runs():
        raise ValueError(f"there is no run {source!r}" + (f"; there are {', '.join(replay.runs())}" if replay else ""))
    curve = curve_of(replay, source, Timeline(replay.events(source)))
    if curve is None:
        raise ValueError(f"run {source!r} has no score yet; was it made with --no-evaluator?")
    return curve


def _is_file(source: str) -> bool:
    return source.endswith(".json")


def _scored_on(curve: Curve) -> str:
    return f"{len(curve.seeds)} seeds from {curve.seeds[0]} on {curve.physics}, confirmed on {curve.reference}"
