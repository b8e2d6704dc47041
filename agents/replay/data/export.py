"""A run, or some of its episodes, as a folder of Parquet files.

    runs.json               the run's document: configuration, names and units of every number
    episodes.parquet        one row per episode
    timesteps-00000.parquet one row per timestep; a row group holds whole episodes
    manifest.json           counts and checksums of the rest

The folder appears under its name when all of it is on the disk: nobody reads half an export.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from agents.replay.backlog import chunks
from agents.replay.data.manifest import File, Manifest, describe, sync
from agents.replay.data.parquet import TIMESTEP_OPTIONS, episodes_table, timestep_batch, timestep_schema
from agents.replay.data.selection import Progress, unheard
from agents.replay.data.text import moment
from agents.replay.documents import utc_now
from agents.replay.log import Log
from agents.replay.runs import Episode

RUNS, EPISODES = "runs.json", "episodes.parquet"
_FILE_TIMESTEPS = 200_000
"""In one file, about: some 300 MB, which a reader may take as a unit of work."""


def export(
    replay: Log,
    run: str,
    episodes: Sequence[Episode],
    folder: Path,
    *,
    progress: Progress = unheard,
    file_timesteps: int = _FILE_TIMESTEPS,
) -> Manifest:
    """Writes the run's document and these episodes of it into a new folder.

    Raises: KeyError for an unknown run; ValueError when the folder is there and not empty; LookupError when timesteps
        are missing in the log.
    """
    ordered = sorted(episodes, key=lambda episode: episode.id)
    with new_folder(folder) as unfinished:
        (unfinished / RUNS).write_text(json.dumps([_run_document(replay, run)], indent=2) + "\n")
        pq.write_table(episodes_table(ordered), unfinished / EPISODES, compression="zstd")
        rows = {RUNS: 1, EPISODES: len(ordered)}
        rows |= _write_timesteps(replay, run, ordered, unfinished, progress, file_timesteps)
        manifest = Manifest(
            run=run,
            layout_sha256=replay.run(run).layout_sha256,
            episodes=len(ordered),
            timesteps=sum(episode.length + 1 for episode in ordered),
            written=str(moment(utc_now())),
            files={name: _finished(unfinished / name, count) for name, count in rows.items()},
        )
        manifest.write(unfinished)
    return manifest


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which gets its name when the block ends well, and is removed when it does not.

    Raises: ValueError when there is something under the name already.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is no empty folder; choose another name, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.unfinished"
    unfinished.mkdir()
    try:
        yield unfinished
        unfinished.rename(folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _run_document(replay: Log, run: str) -> dict[str, Any]:
    """Without the learner's lease, which belongs to the database."""
    replay.run(run)
    document = dict(replay.run_document(run) or {})
    document.pop("learner", None)
    created: datetime = document["created"]
    return document | {"created": moment(created)}


def _write_timesteps(
    replay: Log, run: str, ordered: Sequence[Episode], folder: Path, progress: Progress, file_timesteps: int
) -> dict[str, int]:
    """File name -> timesteps in it."""
    schema = timestep_schema(replay.run(run))
    total = sum(episode.length + 1 for episode in ordered)
    written: dict[str, int] = {}
    for number, part in enumerate(chunks(ordered, file_timesteps)):
        name = f"timesteps-{number:05}.parquet"
        with pq.ParquetWriter(folder / name, schema, **TIMESTEP_OPTIONS) as file:
            written[name] = 0
            for chunk in chunks(part):
                batch = timestep_batch(replay.rows(chunk), schema)
                file.write_batch(batch, row_group_size=len(batch))
                written[name] += len(batch)
                progress(sum(written.values()), total)
    return written


def _finished(path: Path, rows: int) -> File:
    sync(path)
    file = describe(path, rows)
    assert file is not None
    return file
