"""An export as it lies on the disk, read back: checked first, then episode by episode."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from agents.replay.data.export import EPISODES, RUNS
from agents.replay.data.manifest import ExportDamaged, Manifest, read_manifest
from agents.replay.data.parquet import episodes_of, timestep_columns, timestep_schema
from agents.replay.documents import Document, run_of
from agents.replay.runs import Episode, Run
from environment.state import Entry, StateLayout

Columns = Mapping[str, NDArray[Any]]
"""One episode's timesteps by the names of the stored fields."""


@dataclass(frozen=True, slots=True)
class Export:
    """A folder that `export` wrote, whole and checked; its timesteps are still on the disk."""

    folder: Path
    manifest: Manifest
    document: Document
    run: Run
    episodes: Sequence[Episode]

    @property
    def source(self) -> str:
        """The same for every export of one run of one database."""
        return f"{self.run.name} of {self.document['created'].isoformat()}"


def read_export(folder: Path) -> Export:
    """Raises: ExportDamaged."""
    manifest = read_manifest(folder)
    missing = {RUNS, EPISODES} - set(manifest.files)
    if missing:
        raise ExportDamaged(f"the manifest of {folder} names no {', '.join(sorted(missing))}; it is not complete")
    (document,) = json.loads((folder / RUNS).read_text())
    document["created"] = datetime.fromisoformat(document["created"])
    run = run_of(document)
    layout = StateLayout(tuple(map(Entry, run.state_names, run.state_units)))
    if not layout.sha256 == run.layout_sha256 == manifest.layout_sha256:
        raise ExportDamaged(
            f"layout of run {run.name!r} in {folder}: its names and units have SHA-256 {layout.sha256}, the run says "
            f"{run.layout_sha256} and the manifest {manifest.layout_sha256}; needed three times the same"
        )
    episodes = episodes_of(pq.read_table(folder / EPISODES))
    timesteps = sum(episode.length + 1 for episode in episodes)
    if (len(episodes), timesteps) != (manifest.episodes, manifest.timesteps):
        raise ExportDamaged(
            f"{folder}: found {len(episodes)} episodes with {timesteps} timesteps, needed {manifest.episodes} with "
            f"{manifest.timesteps} as the manifest says"
        )
    for name in _timestep_files(manifest):
        if not pq.read_schema(folder / name).equals(timestep_schema(run)):
            raise ExportDamaged(f"{folder / name}: its columns are not those of run {run.name!r}'s layout")
    return Export(folder, manifest, document, run, episodes)


def _timestep_files(manifest: Manifest) -> list[str]:
    return sorted(set(manifest.files) - {RUNS, EPISODES})


def episodes_in(export: Export) -> Iterator[tuple[Episode, Columns]]:
    """Each episode with its timesteps' columns.

    Raises: ExportDamaged when the rows are not those of the episodes.
    """
    coming = iter(export.episodes)
    for columns in _row_groups(export):
        begin = 0
        while begin < len(columns["step"]):
            episode = next(coming, None)
            rows = slice(begin, begin + (0 if episode is None else episode.length + 1))
            part = {name: column[rows] for name, column in columns.items()}
            if episode is None or not _is_whole(episode, part):
                raise ExportDamaged(f"{export.folder}: the timesteps from row {begin} are not those of {episode}")
            yield episode, part
            begin = rows.stop
    if next(coming, None) is not None:
        raise ExportDamaged(f"{export.folder}: there are episodes without timesteps")


def _row_groups(export: Export) -> Iterable[Columns]:
    for name in _timestep_files(export.manifest):
        with pq.ParquetFile(export.folder / name) as file:
            for number in range(file.num_row_groups):
                yield timestep_columns(file.read_row_group(number))


def _is_whole(episode: Episode, columns: Columns) -> bool:
    steps = np.arange(episode.length + 1)
    return np.array_equal(columns["step"], steps) and bool((columns["episode"] == episode.id).all())
