"""Where on a machine the spools of its workers lie: `DATA_DIR/spool/RUN/WORKER`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

_SPOOLS = "spool"


class Place(NamedTuple):
    """One worker's folder."""

    run: str
    worker: str
    path: Path


def spool_path(data: Path, run: str, worker: str) -> Path:
    """The folder of a worker; `data` is the machine's DATA_DIR."""
    return data / _SPOOLS / run / quote(worker, safe="")


def spool_places(data: Path) -> Sequence[Place]:
    """The folders of all workers that this machine has had, sorted by run and worker."""
    found = (path for path in (data / _SPOOLS).glob("*/*") if path.is_dir())
    return sorted(Place(path.parent.name, unquote(path.name), path) for path in found)
