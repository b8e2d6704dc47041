"""Why a mongod ended, read from its log: one JSON object per line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

_TAIL_BYTES = 64_000
_FULL_BYTES = 1_000_000
_GRAVE = {"F": None, "E": ("-", "CONTROL", "STORAGE", "REPL")}
"""Severities (fatal, error) and their components that can end a server; others only fail a client's request."""


def why_it_ended(log: Path, folder: Path, port: int, setting: str) -> str:
    """One sentence with the likely cause. `setting` names where the user chooses the port."""
    lines = _last_life(_tail(log))
    text = "\n".join(lines)
    if "Address already in use" in text:
        return f"mongod ended: port {port} is taken by another program; stop it, or choose another port in {setting}"
    # On a full disk the log itself ends in the middle of a line.
    full = folder.is_dir() and shutil.disk_usage(folder).free < _FULL_BYTES
    if full or "No space left on device" in text or "ENOSPC" in text:
        return f"mongod ended: the disk of {folder} is full; free some space, or choose another DATA_DIR"
    if "DBPathInUse" in text:
        return f"mongod ended: another mongod uses {folder}; stop it, or choose another DATA_DIR"
    if any(sign in text for sign in ("incompatible version", "Wrong mongod version", "unsupported WiredTiger file")):
        return (
            f"mongod ended: {folder} was written by another version of MongoDB; start that version, or choose another "
            "DATA_DIR"
        )
    if "Permission denied" in text:
        return f"mongod ended: it may not read or write {folder}; it belongs to another user, or is read-only"
    last = _gravest(lines)
    if last is None:
        return f"mongod ended and left no reason in {log}; it was killed, perhaps for want of memory"
    return f"mongod ended: {last} (its log is {log})"


def _tail(log: Path) -> list[str]:
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()


def _last_life(lines: list[str]) -> list[str]:
    """The lines since the last start."""
    starts = [number for number, line in enumerate(lines) if "SERVER RESTARTED" in line]
    return lines[starts[-1] :] if starts else lines


def _gravest(lines: list[str]) -> str | None:
    """The last fatal line, else the last error, else a last line that is no log entry at all."""
    entries = [(line, _parsed(line)) for line in lines if line.strip()]
    for severity, components in _GRAVE.items():
        for _, entry in reversed(entries):
            if entry is None or entry.get("s") != severity:
                continue
            if components is None or entry.get("c") in components:
                return _readable(entry)
    strange = [line for line, entry in entries if entry is None]
    return strange[-1].strip() if strange else None


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError:
        return None
    return entry if isinstance(entry, dict) else None


def _readable(entry: dict[str, Any]) -> str:
    detail = entry.get("attr", {}).get("error") or entry.get("attr", {}).get("msg") or ""
    if isinstance(detail, dict):
        detail = detail.get("errmsg") or detail
    message = str(entry.get("msg", ""))
    return " ".join((f"{message}: {detail}" if detail else message).split())[:300]
