"""What the database holds, found by plain queries and compared with what was handed to the writers.

Nothing here goes through the classes that wrote and read the data in the scenario.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.replay.columns import EpisodeTimesteps
from infra.faults.content import Content
from infra.faults.crew import Crew
from infra.faults.marks import Mark
from infra.faults.server import DATABASE, Server

_STEP_BITS = 20
_FLOAT32_VECTOR = b"\x27\x00"
"""How a stored vector begins."""
Document = Mapping[str, Any]
Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Counts of timesteps, unless said otherwise."""

    written: int
    """Handed to writers, which took them."""
    acknowledged: int
    """Of them, those that the writers were told are durable."""
    found: int
    """Of them, those in the database."""
    duplicated: int
    """Documents of a step of an episode, or of an episode, beyond the first."""
    missing_acknowledged: int
    """After the end; what was missing right after a fault counts as well."""
    missing: int
    altered: int
    """Found, but not as they were written; or found, and never written."""
    episodes_wrong: int
    """Episodes with timesteps but no document, a document without timesteps, or one that does not fit them."""
    episodes: frozenset[int]
    """Ids of those in the database that may be learned from."""

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        wrong = (self.duplicated, self.missing_acknowledged, self.missing, self.altered, self.episodes_wrong)
        return self.written > 0 and not any(wrong)


def audit(server: Server, crew: Crew, content: Content, missing_before: int = 0) -> Audit:
    """Reads everything. `missing_before`: acknowledged timesteps that were missing right after some fault."""
    handed, acknowledged, tried = (
        np.concatenate([np.array(crew.ids(life, mark), np.int64) for life in crew.lives])
        for mark in (Mark.HANDED, Mark.ACKNOWLEDGED, Mark.TRYING)
    )
    with server.client() as client:
        data = client[DATABASE]
        reading = _Reading(content)
        ordered = data["timesteps"].find().sort("_id", 1)
        grouped = groupby(ordered, key=lambda document: int(document["episode"]))
        lengths = {episode: reading.take(list(steps)) for episode, steps in grouped}
        documents = list(data["episodes"].find())
    found = np.unique(np.array(reading.ids, np.int64))
    strange = int(np.setdiff1d(found, tried).size)
    known = {document["_id"]: document for document in documents}
    twice = len(documents) - len({(document["writer"], document["number"]) for document in documents})
    wrong = len(known.keys() ^ lengths.keys()) + sum(
        not _fits(known[episode], length, content) for episode, length in lengths.items() if episode in known
    )
    return Audit(
        written=len(handed),
        acknowledged=len(acknowledged),
        found=int(np.isin(handed, found).sum()),
        duplicated=len(reading.ids) - len(found) + twice,
        missing_acknowledged=missing_before + int(np.setdiff1d(acknowledged, found).size),
        missing=int(np.setdiff1d(handed, found).size),
        altered=reading.altered + strange,
        episodes_wrong=wrong,
        episodes=frozenset(id for id, document in known.items() if document["purpose"] != "evaluate"),
    )


class _Reading:
    """Goes through the timesteps of one episode after the other."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.ids: list[int] = []
        """`episode << 20 | step` of every document."""
        self.altered = 0

    def take(self, steps: list[Document]) -> int:
        """The documents of one episode, by id; returns its control steps."""
        episode = int(steps[0]["episode"])
        number = np.array([document["step"] for document in steps], np.int64)
        written = self._content.episode(episode)
        inside = (number >= 0) & (number < len(written.reward))
        same = np.array([document["_id"] for document in steps]) == (episode << _STEP_BITS | number)
        same &= inside & _same(steps, np.where(inside, number, 0), written)
        self.ids += (episode << _STEP_BITS | number).tolist()
        self.altered += int((~same).sum())
        return int(number.max())


def _same(steps: list[Document], number: Integers, written: EpisodeTimesteps) -> NDArray[np.bool_]:
    """Which of these documents hold what was written as step `number`."""
    vectors = {"state": written.state, "action": written.excitation, "policy_action": written.policy_action}
    truncated = written.truncated[number]
    if number[-1] < len(written.reward) - 1:
        truncated[-1] = True  # closed for a worker that died in the middle
    values = {name: getattr(written, name)[number] for name in ("decision", "reward", "terminated", "policy_version")}
    same = np.ones(len(steps), np.bool_)
    for name, columns in vectors.items():
        same &= (_vectors(steps, name, columns.shape[1]) == columns[number]).all(axis=1)
    for name, column in {**values, "truncated": truncated}.items():
        same &= np.array([document[name] for document in steps]) == column
    return same


def _vectors(steps: list[Document], name: str, size: int) -> NDArray[np.float32]:
    """(N, size); a vector of another form is one of NaN, which equals nothing."""
    width, missing = 2 + 4 * size, _FLOAT32_VECTOR + b"\xff" * 4 * size
    parts = [bytes(document[name]) for document in steps]
    good = [part if len(part) == width and part.startswith(_FLOAT32_VECTOR) else missing for part in parts]
    return np.frombuffer(b"".join(part[2:] for part in good), "<f4").reshape(len(steps), size)


def _fits(document: Document, length: int, content: Content) -> bool:
    """Whether an episode's document tells what its `length` control steps were."""
    written = content.episode(int(document["_id"]))
    whole, start = length == len(written.reward) - 1, content.start(written.episode)
    total = float(written.reward[: length + 1].sum())
    return (
        document["length"] == length
        and (whole or document["ended"] == "aborted")
        and bool(np.isclose(document["return"], total, rtol=1e-9))
        and document["terminated"] == bool(written.terminated[length])
        and document["truncated"] == (not document["terminated"])
        and (document["seed"], document["policy_version"], document["purpose"])
        == (start.seed, start.policy_version, start.purpose)
    )
