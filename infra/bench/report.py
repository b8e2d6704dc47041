"""A benchmark's result as a table for people and as JSON.

Every result is `{"bench", "about", "machine", "rows"}`; a row has `name`, `value`, `unit`, `peer`, `peer_value`,
`ratio` and whatever else was measured, with its unit in its name.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Result = Mapping[str, Any]

_LEADING = ("name", "value", "unit", "ratio")
_HIDDEN = ("peer", "peer_value")


def table(result: Result) -> str:
    """A title, what it means, and one line per row; rows that measure other things get a heading of their own."""
    on = result["machine"]
    place = f"{on['processor']}, {on['cores']} cores, load {on['load_1_min']:g}"
    parts = [_part(list(rows)) for _, rows in itertools.groupby(result["rows"], key=_columns)]
    return "\n\n".join([f"{result['bench']} ({place})\n{result['about']}", *parts])


def _columns(row: Mapping[str, Any]) -> list[str]:
    return [*_LEADING, *(name for name in row if name not in (*_LEADING, *_HIDDEN))]


def _part(rows: Sequence[Mapping[str, Any]]) -> str:
    """A heading and one line per row."""
    columns = _columns(rows[0])
    peers = ", ".join(dict.fromkeys(str(row["peer"]) for row in rows))
    heads = [f"times {peers}" if name == "ratio" else name.replace("_", " ") for name in columns]
    cells = [heads, *([_text(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    words = {i for i, name in enumerate(columns) if any(isinstance(row.get(name), str) for row in rows)}
    lines = ["  ".join(_aligned(line[i], widths[i], left=i in words) for i in range(len(columns))) for line in cells]
    return "\n".join(line.rstrip() for line in lines)


def save(result: Result, path: Path) -> None:
    """Writes the JSON; a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(path.name + ".part")
    staged.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n")
    staged.replace(path)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"
    return str(value)


def _aligned(text: str, width: int, *, left: bool) -> str:
    return text.ljust(width) if left else text.rjust(width)
