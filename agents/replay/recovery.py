"""What a dead writer left behind: its open episode gets a document, and becomes as readable as any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from agents.replay.codec import Rows, TimestepCodec
from agents.replay.documents import episode_document, start_of, utc_now
from agents.replay.ids import STEP_BITS
from agents.replay.runs import ABORTED, UNSPLIT, Episode, EpisodeStart
from agents.replay.storage import Life, Storage


def close_open_episodes(storage: Storage, codec: TimestepCodec, run: str, lives: Sequence[Life]) -> list[Episode]:
    """Writes the document of every episode that these writers left without one.

    Only a writer's newest episode can lack it: it never begins another before the last is written.
    """
    closed = []
    for life in lives:
        last = storage.last_timestep(life.writer)
        if last is None or storage.has_episode(last >> STEP_BITS):
            continue
        episode = last >> STEP_BITS
        rows = codec.read(storage.read_timesteps(episode << STEP_BITS, last))
        kept = _drop_strays(storage, run, life, rows)
        if len(kept) == 0:
            continue
        document = _rebuild(run, life, episode, kept)
        if document.truncated:
            storage.mark_truncated(int(kept["_id"][-1]))
        storage.insert_episode(episode_document(document))
        _note(storage, run, life, "episode_aborted", episode=episode, length=document.length)
        closed.append(document)
    return closed


def _drop_strays(storage: Storage, run: str, life: Life, rows: Rows) -> Rows:
    """The rows up to the first gap; deletes those beyond.

    A batch is inserted in no order, so a writer that died during one may have stored its end but not its middle.
    """
    missing = np.flatnonzero(rows["step"] != np.arange(len(rows)))
    if len(missing) == 0:
        return rows
    gap = int(missing[0])
    strays = rows["_id"][gap:].tolist()
    storage.delete_timesteps(strays)
    episode = int(rows["episode"][gap])
    _note(storage, run, life, "stray_timesteps_deleted", episode=episode, missing_step=gap, count=len(strays))
    return rows[:gap]


def _rebuild(run: str, life: Life, episode: int, rows: Rows) -> Episode:
    length = len(rows) - 1
    started, finished = (datetime.fromtimestamp(int(ms) / 1000, UTC) for ms in (rows["time"][0], rows["time"][-1]))
    episode_return = float(np.sum(rows["reward"]))
    terminated = bool(rows["terminated"][-1])
    return Episode(
        id=episode,
        run=run,
        worker=life.worker,
        writer=life.writer,
        start=_start(life.open_episode, episode),
        length=length,
        episode_return=episode_return,
        reward_terms={UNSPLIT: episode_return},
        ended=ABORTED,
        terminated=terminated,
        truncated=not terminated or bool(rows["truncated"][-1]),
        step_ms_mean=(finished - started).total_seconds() * 1000 / max(1, length),
        started=started,
        finished=finished,
    )


def _start(note: Mapping[str, Any] | None, episode: int) -> EpisodeStart:
    if note is None or note["episode"] != episode:
        raise LookupError(
            f"episode {episode} has timesteps, but its writer noted episode {note and note['episode']} as its newest; "
            "likely events were deleted by hand. Delete the timesteps of that episode, or restore the event"
        )
    return start_of(note)


def _note(storage: Storage, run: str, life: Life, kind: str, **details: Any) -> None:
    details["writer"] = life.writer
    storage.insert_event({"run": run, "process": life.worker, "kind": kind, "time": utc_now(), "details": details})
