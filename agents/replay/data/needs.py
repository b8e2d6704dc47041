"""Who still needs a run's episodes: learners that follow its log, and checkpoints that are resumed from it."""

from __future__ import annotations

from collections.abc import Iterable

from agents.checkpoints.contract import CheckpointStore
from agents.replay.contract import Replay


def learners_from(replay: Replay, run: str) -> list[str]:
    """The run itself, and those whose configuration lets them learn from it as well.

    Raises: KeyError naming the runs that exist.
    """
    replay.run(run)
    others = [name for name in replay.runs() if name != run]
    return [run, *(name for name in others if run in replay.run(name).config.get("replay", {}).get("partitions", {}))]


def needed_by_checkpoints(store: CheckpointStore, runs: Iterable[str]) -> frozenset[int]:
    """Ids of the episodes that learners of these runs held in memory at their newest checkpoints.

    Raises: CheckpointCorrupt when one can not be read: what it needs is not known.
    """
    needed: set[int] = set()
    for run in runs:
        if store.latest(run) is None:
            continue
        _, blob = store.load(run, "learner")
        for name, episodes in blob.tensors.items():
            # `mirror/episodes`, or one of several memories: `mirror/own/episodes`.
            if name.startswith("mirror/") and name.endswith("/episodes"):
                needed.update(episodes.tolist())
    return frozenset(needed)
