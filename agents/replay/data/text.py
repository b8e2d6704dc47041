"""Tables and figures as a terminal shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from agents.replay.runs import Episode
from environment.round_rewards import ROUNDS

_EPISODE_COLUMNS = ("episode", "finished", "worker", "purpose", "policy", "seed", "length", "return", *ROUNDS, "ended")


def columns(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lines of a table: the first column to the left, the rest to the right."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(padded))
        for padded in (list(zip(line, widths, strict=True)) for line in lines)
    )


def number(value: float) -> str:
    """Seven digits are enough for a return."""
    return f"{value:,.7g}"


def moment(time: datetime | None) -> str | None:
    """ISO 8601 in UTC, milliseconds."""
    return None if time is None else time.astimezone(UTC).isoformat(timespec="milliseconds")


def episode_facts(episode: Episode) -> dict[str, Any]:
    """What one line of `episodes` tells; None for what both rounds paid where it was not logged."""
    start = episode.start
    return {
        "episode": episode.id,
        "finished": moment(episode.finished),
        "worker": episode.worker,
        "purpose": start.purpose,
        "policy": start.policy_version,
        "seed": start.seed,
        "length": episode.length,
        "return": episode.episode_return,
        **{name: episode.round_returns.get(name) for name in ROUNDS},
        "ended": episode.ended,
    }


def episodes_text(episodes: Iterable[Episode]) -> str:
    """One line per episode."""
    rows = []
    for episode in episodes:
        facts = episode_facts(episode)
        facts |= {name: "-" if facts[name] is None else number(facts[name]) for name in ("return", *ROUNDS)}
        rows.append([str(facts[name]) for name in _EPISODE_COLUMNS])
    return columns(_EPISODE_COLUMNS, rows)
