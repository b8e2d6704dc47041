"""What an export consists of: counts and checksums, written last and checked first."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FORMAT = "prosthetics-replay/1"
NAME = "manifest.json"


class ExportDamaged(ValueError):
    """An export that lacks something or is not what was written. Nothing of it was imported."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of an export."""

    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of `manifest.json`."""

    run: str
    layout_sha256: str
    episodes: int
    timesteps: int
    written: str
    """ISO 8601, UTC."""
    files: Mapping[str, File]

    def write(self, folder: Path) -> None:
        """Writes it, durably, as the last file of the folder."""
        path = folder / NAME
        path.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n")
        for place in (path, folder):
            sync(place)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an export whose files are all there and whole.

    Raises: ExportDamaged.
    """
    path = folder / NAME
    if not path.is_file():
        raise ExportDamaged(
            f"found no {NAME} in {folder}, needed one; likely no export, or a copy that is not complete"
        )
    try:
        plain: dict[str, Any] = json.loads(path.read_text())
        found = plain.pop("format")
        if found != FORMAT:
            raise ExportDamaged(f"{path}: found format {found!r}, needed {FORMAT!r}; likely written by other code")
        manifest = Manifest(**{**plain, "files": {name: File(**file) for name, file in plain["files"].items()}})
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ExportDamaged(f"{path} is no manifest of an export: {error!r}") from error
    for name, file in manifest.files.items():
        if Path(name).name != name or describe(folder / name, file.rows) != file:
            raise ExportDamaged(_difference(folder / name, file))
    return manifest


def describe(path: Path, rows: int) -> File | None:
    """The file as it is on disk; None when it is not there."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return File(rows, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def sync(path: Path) -> None:
    """Returns when a file or folder has reached the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _difference(path: Path, needed: File) -> str:
    if not path.is_file():
        return f"found no {path.name} in {path.parent}, needed it; likely the copy is not complete"
    size = path.stat().st_size
    if size != needed.bytes:
        return f"{path}: found {size} bytes, needed {needed.bytes}; likely the copy was cut short"
    return f"{path}: found other content than was written (SHA-256), needed {needed.sha256}; it was edited or damaged"
