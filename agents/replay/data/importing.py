"""An export back into a database, under its own or another name.

Each of its writers gets a fresh number, noted in the target run's events: the same export again, or a later one of the
same run, adds only what is missing. Every timestep goes through the same guards as a worker's.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from agents.replay.codec import Rows, TimestepCodec
from agents.replay.columns import TimestepBlock
from agents.replay.data.exported import Columns, Export, episodes_in, read_export
from agents.replay.data.parquet import codec_of
from agents.replay.data.selection import Progress, unheard
from agents.replay.documents import episode_document, start_document
from agents.replay.guards import check, check_block
from agents.replay.ids import EPISODE_BITS, episode_id, timestep_id
from agents.replay.log import Log
from agents.replay.runs import Episode

WRITER_IMPORTED = "writer_imported"
"""Event: which writer of which source run became which writer here."""
_PROCESS = "import"
_LAST_EPISODE = (1 << EPISODE_BITS) - 1


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    run: str
    episodes: int
    """Added now."""
    timesteps: int
    present: int
    """Episodes that were there already."""


def import_run(replay: Log, folder: Path, name: str | None = None, *, progress: Progress = unheard) -> Imported:
    """Adds the export's episodes to run `name` (default: the name it was exported under), which is made if need be.

    One import of a source run at a time.

    Raises: ExportDamaged, before anything is written, when files are missing, changed or do not fit together;
        ValueError when the run exists with another layout, task, reward or model; RefusedTimestep for values that no
        worker could have written either (the episodes before it have been added).
    """
    export = read_export(folder)
    run = dataclasses.replace(export.run, name=name or export.run.name)
    replay.insert_run({**export.document, "_id": run.name, "learner": None})
    replay.open_run(run)
    writers, fresh = _writers(replay, export, run.name)
    present = {episode.id: episode for episode in replay.episodes_after(run.name, {})}
    codec = codec_of(run)
    added = timesteps = done = 0
    for original, columns in episodes_in(export):
        episode = dataclasses.replace(
            original,
            id=episode_id(writers[original.writer], original.id & _LAST_EPISODE),
            writer=writers[original.writer],
            run=run.name,
        )
        if present.get(episode.id) != episode:
            if episode.writer not in fresh:
                _clear(replay, episode.id)
            _insert(replay, codec, episode, columns)
            added, timesteps = added + 1, timesteps + episode.length + 1
        done += episode.length + 1
        progress(done, export.manifest.timesteps)
    replay.event(run.name, _PROCESS, "imported", source=export.source, episodes=added, timesteps=timesteps)
    return Imported(run.name, added, timesteps, len(export.episodes) - added)


def _writers(replay: Log, export: Export, run: str) -> tuple[dict[int, int], set[int]]:
    """Writer of the export -> writer here; and those of them that have written nothing yet.

    One that was claimed without being noted stays unused.
    """
    source = export.source
    events = [event["details"] for event in replay.events(run, WRITER_IMPORTED)]
    writers = {int(noted["theirs"]): int(noted["ours"]) for noted in events if noted["source"] == source}
    fresh: set[int] = set()
    for theirs in sorted({episode.writer for episode in export.episodes} - set(writers)):
        writers[theirs] = replay.claim_writer(run, _PROCESS)
        replay.event(run, _PROCESS, WRITER_IMPORTED, source=source, theirs=theirs, ours=writers[theirs])
        fresh.add(writers[theirs])
    return writers, fresh


def _clear(replay: Log, episode: int) -> None:
    """Removes what an import that died left of an episode, or recovery then made of it."""
    replay.delete_episodes([episode])
    replay.delete_between(timestep_id(episode, 0), timestep_id(episode + 1, 0) - 1)


def _insert(replay: Log, codec: TimestepCodec, episode: Episode, columns: Columns) -> None:
    """As a worker does it, so that an import which dies leaves what a worker would: one open episode per writer."""
    rows = _rows(codec, episode, columns)
    _guard(codec, rows)
    replay.note_open(episode.writer, {"episode": episode.id, **start_document(episode.start)})
    replay.insert_timesteps(rows, again=False)
    replay.insert_episode(episode_document(episode))


def _rows(codec: TimestepCodec, episode: Episode, columns: Columns) -> Rows:
    rows = codec.blank(episode.length + 1)
    for name, column in columns.items():
        rows[name] = column
    rows["episode"] = episode.id
    rows["_id"] = timestep_id(episode.id, 0) + columns["step"]
    return rows


def _guard(codec: TimestepCodec, rows: Rows) -> None:
    states, actions = codec.state_size, codec.action_size
    names = ("state", "action", "policy_action", "decision", "reward", "terminated", "truncated")
    block = TimestepBlock(*(rows[name] for name in names))
    check(block.timestep(0, 0), state_size=states, action_size=actions, previous=None)
    _, refusal = check_block(block[1:], state_size=states, action_size=actions, previous=0)
    if refusal is not None:
        raise refusal
