"""What came out of a scenario: one line of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.faults.audit import Audit


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one scenario that came to its end."""

    scenario: str
    done: str
    """What was done to it."""
    audit: Audit
    unequal: int
    """Episodes that the mirror lacks, has twice or has besides those of the database, or of which a number differs."""
    mirrored: int
    """Episodes that the mirror holds."""
    shown: Mapping[str, bool]
    """What had to happen besides, and whether it did."""
    seconds: float

    @property
    def passes(self) -> bool:
        """Whether nothing was lost, and all that had to happen did."""
        return self.audit.clean and self.unequal == 0 and self.mirrored > 0 and all(self.shown.values())

    def row(self) -> dict[str, Any]:
        """As JSON holds it."""
        counts = {name: value for name, value in vars(self.audit).items() if name != "episodes"}
        return {
            "name": self.scenario,
            "done": self.done,
            **counts,
            "mirrored_episodes": self.mirrored,
            "mirror_unequal_episodes": self.unequal,
            "mirror": "equal" if self.unequal == 0 and self.mirrored else "unequal",
            "shown": dict(self.shown),
            "seconds": round(self.seconds, 1),
            "passes": self.passes,
        }


def failed(scenario: str, error: BaseException, seconds: float) -> dict[str, Any]:
    """The row of one that did not come to its end."""
    reasons = [error, *filter(None, [error.__cause__])]
    told = ", because of ".join(f"{type(reason).__name__}: {reason}" for reason in reasons)
    return {"name": scenario, "error": told, "seconds": round(seconds, 1), "passes": False}


_COLUMNS = {
    "name": "scenario",
    "done": "what was done",
    "written": "written",
    "acknowledged": "acknowledged",
    "found": "found",
    "duplicated": "duplicated",
    "missing": "missing",
    "altered": "altered",
    "mirror": "mirror",
    "passes": "",
}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line per scenario; below it what was shown besides, or why there are no counts."""
    lines = [list(_COLUMNS.values()), *([_cell(row, name) for name in _COLUMNS] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
    numbers = {i for i, name in enumerate(_COLUMNS) if name in ("written", "acknowledged", "found")}
    aligned = [
        "  ".join(
            cell.rjust(widths[i]) if i in numbers else cell.ljust(widths[i]) for i, cell in enumerate(line)
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*aligned, "", *(line for row in rows for line in _besides(row))])


def _cell(row: Mapping[str, Any], name: str) -> str:
    if name == "passes":
        return "passes" if row[name] else "FAILS"
    if name == "missing" and name in row:
        return f"{row['missing_acknowledged']:,} of acknowledged, {row[name]:,} of written"
    value = row.get(name, "-")
    return f"{value:,}" if isinstance(value, int) else str(value)


def _besides(row: Mapping[str, Any]) -> list[str]:
    if "error" in row:
        return [f"{row['name']}: {row['error']}"]
    facts = dict(row["shown"])
    if row["episodes_wrong"]:
        facts[f"{row['episodes_wrong']} episodes do not fit their timesteps"] = False
    if row["mirror_unequal_episodes"]:
        facts[f"{row['mirror_unequal_episodes']} episodes of the mirror are not as in the database"] = False
    return [f"{row['name']}: {'yes' if true else 'NO'}, {fact}" for fact, true in facts.items()]
