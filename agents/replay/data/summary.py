"""A stored run in figures."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agents.analysis import endings
from agents.replay.data.text import columns, moment, number
from agents.replay.log import Log
from agents.replay.runs import ABORTED, Counts, Episode, Run
from agents.round_returns import title
from environment.round_rewards import ROUNDS

_VERSION_RANGES = 8


@dataclass(frozen=True, slots=True)
class Group:
    """Some episodes of a run that have something in common."""

    name: str
    episodes: int
    timesteps: int
    """Reset states included."""
    aborted: int
    returns: tuple[float, float, float] | None
    """Least, median and largest of the episodes that were not aborted; None when all were."""
    length: float | None
    """Their median control steps: episodes start anywhere, so a return says little without it."""
    round_returns: Mapping[str, float]
    """Their median return by the true reward of each round; of those that tell it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What `summary` tells of one run."""

    run: Run
    counts: Counts
    all: Group
    purposes: Sequence[Group]
    workers: Sequence[Group]
    policy_versions: Sequence[Group]
    """At most eight ranges of equal width."""
    ended: Mapping[str, int]
    first: str | None
    """When the first episode started, and the last finished: ISO 8601, UTC."""
    last: str | None
    refused: Mapping[str, int]
    """Reason -> timesteps that were not allowed in."""
    quarantined: Mapping[str, int]
    """Those of them that were kept for a person to look at."""

    def document(self) -> dict[str, Any]:
        """As plain data."""
        run = self.run
        facts = {"run": run.name, **{name: getattr(run, name) for name in _RUN_FACTS}}
        groups = ("all", "purposes", "workers", "policy_versions")
        return {
            **facts,
            "counts": asdict(self.counts),
            **{name: _plain(getattr(self, name)) for name in groups},
            "ended": dict(self.ended),
            "first": self.first,
            "last": self.last,
            "refused": dict(self.refused),
            "quarantined": dict(self.quarantined),
        }

    def text(self) -> str:
        """As a person reads it."""
        groups = [self.all, *self.purposes, *self.workers, *self.policy_versions]
        lines = [
            f"run {self.run.name}: " + ", ".join(str(getattr(self.run, name)) for name in _RUN_FACTS),
            f"{self.counts.timesteps:,} timesteps stored, {self.counts.events:,} events; "
            f"episodes from {self.first or '-'} to {self.last or '-'}",
            columns(("", *_HEADER), [_row(group) for group in groups]),
            f"ended: {_counted(self.ended) or '-'}",
        ]
        if self.refused or self.quarantined:
            kept = sum(self.quarantined.values())
            lines.append(f"refused: {_counted(self.refused)}; {kept:,} of them kept in quarantine")
        return "\n".join(lines)


_RUN_FACTS = ("task", "physics", "observation", "reward", "code_version")
_HEADER = (
    *("episodes", "timesteps", "aborted", "least return", "median", "largest"),
    *("median steps", *(f"median {title(name)}" for name in ROUNDS)),
)


def summarise(replay: Log, name: str) -> Summary:
    """Raises: KeyError naming the runs that exist."""
    run = replay.run(name)
    episodes = replay.episodes_after(name, {})
    return Summary(
        run=run,
        counts=replay.counts(name),
        all=_group("all", episodes),
        purposes=_by(episodes, lambda episode: episode.start.purpose),
        workers=_by(episodes, lambda episode: episode.worker),
        policy_versions=_by_version(episodes),
        ended=endings(episodes),
        first=moment(min((episode.started for episode in episodes), default=None)),
        last=moment(max((episode.finished for episode in episodes), default=None)),
        refused=_refused(replay, name),
        quarantined=dict(Counter(str(kept["reason"]) for kept in replay.quarantine(name))),
    )


def disk_text(sizes: Mapping[str, int]) -> str:
    """What the whole database takes, all runs together."""
    parts = ", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in sorted(sizes.items()))
    return f"on disk, all runs and indexes: {sum(sizes.values()) / 1e6:,.1f} MB ({parts or 'nothing'})"


def _by(episodes: Iterable[Episode], key: Callable[[Episode], str]) -> list[Group]:
    found: dict[str, list[Episode]] = {}
    for episode in episodes:
        found.setdefault(key(episode), []).append(episode)
    return [_group(name, members) for name, members in sorted(found.items())]


def _by_version(episodes: Sequence[Episode]) -> list[Group]:
    versions = [episode.start.policy_version for episode in episodes]
    if not versions:
        return []
    first, last = min(versions), max(versions)
    width = -(-(last - first + 1) // _VERSION_RANGES)
    ranges: dict[int, list[Episode]] = {}
    for episode in episodes:
        ranges.setdefault((episode.start.policy_version - first) // width, []).append(episode)
    found = []
    for place, members in sorted(ranges.items()):
        begin = first + place * width
        end = min(begin + width - 1, last)
        found.append(_group(f"policy {begin}" + (f"..{end}" if end > begin else ""), members))
    return found


def _group(name: str, episodes: Sequence[Episode]) -> Group:
    ended = [episode for episode in episodes if episode.ended != ABORTED]
    whole = [episode.episode_return for episode in ended]
    told = {name: [one.round_returns[name] for one in ended if name in one.round_returns] for name in ROUNDS}
    return Group(
        name=name,
        episodes=len(episodes),
        timesteps=sum(episode.length + 1 for episode in episodes),
        aborted=len(episodes) - len(whole),
        returns=(min(whole), statistics.median(whole), max(whole)) if whole else None,
        length=statistics.median(episode.length for episode in ended) if ended else None,
        round_returns={name: statistics.median(values) for name, values in told.items() if values},
    )


def _refused(replay: Log, run: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for event in replay.events(run, "refused"):
        found[event["details"]["reason"]] += event["details"]["count"]
    return dict(found)


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())


def _row(group: Group) -> tuple[str, ...]:
    returns = [number(value) for value in group.returns] if group.returns else ["-"] * 3
    steps, *rounds = (
        "-" if value is None else number(value) for value in (group.length, *map(group.round_returns.get, ROUNDS))
    )
    return (group.name, f"{group.episodes:,}", f"{group.timesteps:,}", f"{group.aborted:,}", *returns, steps, *rounds)


def _plain(groups: Group | Sequence[Group]) -> Any:
    return asdict(groups) if isinstance(groups, Group) else [asdict(group) for group in groups]
