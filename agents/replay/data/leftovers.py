"""Timesteps whose episode has no document: of an episode being written, or left by something that died.

Nothing reads them: every reader starts from the document, which is written last and deleted first.
"""

from __future__ import annotations

from agents.replay.ids import STEP_BITS, timesteps_of_writer
from agents.replay.log import Log

PRUNE_STARTED = "prune_started"
"""Event: `newest` lists [writer, the highest of its episodes that may be half deleted]."""


def pruned_up_to(replay: Log, run: str) -> dict[int, int]:
    """Writer -> episode up to which a prune went: without a document there, it is not being written."""
    marks: dict[int, int] = {}
    for event in replay.events(run, PRUNE_STARTED):
        for writer, episode in event["details"]["newest"]:
            marks[writer] = max(episode, marks.get(writer, -1))
    return marks


def leftovers(replay: Log, run: str) -> list[int]:
    """Ids of episodes that have timesteps and no document, and get none any more."""
    marks = pruned_up_to(replay, run)
    found: list[int] = []
    for life in replay.lives(run):
        ids = _with_timesteps(replay, life.writer)
        # The newest may be open: its writer is in the middle of it, or its next life will close it.
        found += [id for id in ids if id < ids[-1] or id <= marks.get(life.writer, -1)]
    # Asked for last: a writer that has begun the next episode has stored this one's document before.
    documented = {episode.id for episode in replay.episodes_after(run, {})}
    return [id for id in found if id not in documented]


def _with_timesteps(replay: Log, writer: int) -> list[int]:
    """Episodes of a writer, documented or not; one look into the index for each."""
    ids: list[int] = []
    first, last = timesteps_of_writer(writer)
    while (found := replay.next_timestep(first, last)) is not None:
        ids.append(found >> STEP_BITS)
        first = (ids[-1] + 1) << STEP_BITS
    return ids
