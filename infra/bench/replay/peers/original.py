"""The way of the system that this one descends from: a document of nested dictionaries per timestep, and a query of the
database for every batch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymongo.collection import Collection

from agents.memory import layout_of
from agents.replay.ids import timestep_id
from agents.replay.runs import Run
from environment.observations import Observation, observation
from infra.bench.replay.data import Source
from infra.bench.replay.peers.contract import Float32
from infra.bench.replay.store import Store

ORIGINAL = "the original's way"
_COLLECTION = "original"
_MOST_READ = 3_000
"""Documents of one find()."""


class Original:
    """Its collection, as durable as ours. `_id` is as in ours, so that it can ask for history by it."""

    def __init__(self, collection: Collection[dict[str, Any]], run: Run) -> None:
        self._collection, self._layout = collection, layout_of(run)
        self._paths = [name.replace(".", "_").split("/") for name in run.state_names]
        self._episodes = 0

    def documents(self, source: Source, episodes: int) -> list[dict[str, Any]]:
        """Of the next episodes, as its simulator gave them."""
        made = []
        for episode in range(self._episodes, self._episodes + episodes):
            for timestep in source.timesteps(episode):
                made.append(
                    {
                        "_id": timestep_id(episode, timestep.step),
                        "episode": episode,
                        "step": timestep.step,
                        "state": self._nested(timestep.state),
                        "action": timestep.excitation.tolist(),
                        "reward": timestep.reward,
                        "terminal": timestep.terminated,
                    }
                )
        self._episodes += episodes
        return made

    def insert(self, documents: Sequence[dict[str, Any]], at_a_time: int) -> float:
        """Seconds."""
        started_s = time.perf_counter()
        for first in range(0, len(documents), at_a_time):
            self._collection.insert_many(documents[first : first + at_a_time])
        return time.perf_counter() - started_s

    def find_rate(self) -> float:
        """Documents per second of a query, decoded."""
        started_s = time.perf_counter()
        found = list(self._collection.find({}, limit=_MOST_READ))
        return len(found) / (time.perf_counter() - started_s)

    def sample(self, name: str, size: int) -> tuple[Float32, Float32]:
        """(B, O) observations of that name and (B, O) the next ones, of B timesteps drawn by the server."""
        observe = observation(name, self._layout)
        drawn = list(self._collection.aggregate([{"$sample": {"size": size}}]))
        wanted = {id for document in drawn for id in _window(document, observe)}
        states = {one["_id"]: self._flat(one["state"]) for one in self._find(wanted)}
        windows = np.array([[states.get(id, states[d["_id"]]) for id in _window(d, observe)] for d in drawn])
        age_s = np.zeros(len(drawn), np.float32)
        return observe(windows[:, :-1], age_s), observe(windows[:, 1:], age_s)

    def _find(self, ids: set[int]) -> Iterator[dict[str, Any]]:
        return iter(self._collection.find({"_id": {"$in": list(ids)}}))

    def _nested(self, state: Float32) -> dict[str, Any]:
        root: dict[str, Any] = {}
        for (*branches, leaf), value in zip(self._paths, state.tolist(), strict=True):
            at = root
            for branch in branches:
                at = at.setdefault(branch, {})
            at[leaf] = value
        return root

    def _flat(self, state: Mapping[str, Any]) -> NDArray[np.float32]:
        numbers = []
        for path in self._paths:
            at: Any = state
            for branch in path:
                at = at[branch]
            numbers.append(at)
        return np.array(numbers, np.float32)


@contextmanager
def original(store: Store, run: Run) -> Iterator[Original]:
    """Connected."""
    with store.collection(_COLLECTION) as collection:
        yield Original(collection, run)


def _window(document: Mapping[str, Any], observe: Observation) -> list[int]:
    """Ids of its history, oldest first, itself and the next; the reset state repeats."""
    steps = range(document["step"] - observe.history, document["step"] + 2)
    return [timestep_id(document["episode"], max(0, step)) for step in steps]
