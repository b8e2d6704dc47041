"""A row of the table, and how it stands to what was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure has to reach, and what it would better reach."""

    floor: float
    goal: float
    smaller_is_better: bool = False

    def reached(self, value: float) -> str:
        """`goal`, `floor`, or that it is beyond even that."""
        sign = -1 if self.smaller_is_better else 1
        if sign * value >= sign * self.goal:
            return "goal"
        return "floor" if sign * value >= sign * self.floor else "NOT THE FLOOR"


def row(
    name: str,
    value: float,
    unit: str,
    *,
    peer: tuple[str, float] | None = None,
    bar: Bar | None = None,
    **more: float | str | None,
) -> Row:
    """One line; `more` are further columns. `peer` is its name and its value of the same unit."""
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer[0] if peer else "no peer",
        "peer_value": peer[1] if peer else None,
        "ratio": value / peer[1] if peer else None,
        "floor": bar.floor if bar else None,
        "goal": bar.goal if bar else None,
        "reached": bar.reached(value) if bar else None,
        **more,
    }
