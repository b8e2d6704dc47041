"""The replay log in MongoDB.

Every write is acknowledged by a majority and in the journal before it counts. While the server is away, callers
wait; the ids make every retry harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING, DESCENDING, ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, ConfigurationError, ConnectionFailure, DuplicateKeyError, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from agents.replay.codec import Rows, documents
from agents.replay.contract import News, WriterConflict
from agents.replay.documents import Document, episode_of, utc_now
from agents.replay.ids import timesteps_of_writer
from agents.replay.log import Log
from agents.replay.mongo_client import connect, unavailable
from agents.replay.mongo_patience import Patience, judge_batch
from agents.replay.raw_read import documents_between
from agents.replay.runs import ABORTED, Counts, Episode
from agents.replay.storage import Life
from agents.replay.stream import EpisodeStream

_OF_A_WRITER = [("run", ASCENDING), ("writer", ASCENDING), ("_id", ASCENDING)]
"""An index of `episodes`."""
_READ_BATCH = 4_000
"""Documents per reply of a range read: some 7.5 MB, of 16 that a reply may have."""


class MongoReplay(Log):
    """Implements `Replay` on the collections `runs`, `episodes`, `timesteps`, `events` and `quarantine` of a database.

    Safe to share between threads; not across a fork.
    """

    def __init__(
        self,
        uri: str,
        database: str = "ProstheticsEnv",
        *,
        connect_s: float = 10.0,
        patience_s: float | None = None,
    ) -> None:
        """Connects within `connect_s`, and creates the indexes.

        `patience_s`: how long a later call waits for a server that went away; None waits for ever, until `close`.

        Raises: ReplayUnavailable.
        """
        super().__init__()
        self._patiently = Patience(patience_s)
        self._client = connect(uri, connect_s)
        durable = WriteConcern(w="majority", j=True, wtimeout=30_000)
        data = self._client.get_database(database, write_concern=durable, read_concern=ReadConcern("majority"))
        self._runs, self._episodes, self._events = data["runs"], data["episodes"], data["events"]
        self._timesteps = data.get_collection("timesteps")
        self._quarantine = data.get_collection("quarantine")
        self._notes = self._events.with_options(write_concern=WriteConcern(w=1))
        try:
            self._create_indexes()
        except (OperationFailure, ConnectionFailure) as error:
            self._client.close()
            raise unavailable(uri, error) from error

    @property
    def waited_s(self) -> float:
        return self._patiently.waited_s

    def _create_indexes(self) -> None:
        self._episodes.create_index(_OF_A_WRITER)
        self._episodes.create_index([("run", ASCENDING), ("finished", ASCENDING)])
        self._episodes.create_index([("run", ASCENDING), ("return", ASCENDING)])
        self._events.create_index([("run", ASCENDING), ("time", ASCENDING)])
        self._events.create_index("writer", unique=True, partialFilterExpression={"writer": {"$exists": True}})

    def insert_run(self, document: Document) -> bool:
        try:
            self._patiently(lambda: self._runs.insert_one(document))
        except DuplicateKeyError:
            return False
        return True

    def run_document(self, name: str) -> Mapping[str, Any] | None:
        return self._patiently(lambda: self._runs.find_one({"_id": name}))

    def run_names(self) -> Sequence[str]:
        found = self._patiently(lambda: list(self._runs.find({}, {"_id": True}).sort("_id")))
        return [document["_id"] for document in found]

    def claim_writer(self, run: str, worker: str) -> int:
        def claim() -> int:
            # A number that was claimed without our hearing of it stays unused, which is harmless.
            newest = self._events.find_one({"writer": {"$exists": True}}, sort=[("writer", DESCENDING)])
            number = 1 + (newest["writer"] if newest else 0)
            event = {"run": run, "process": worker, "kind": "worker_started", "time": utc_now(), "details": {}}
            self._events.insert_one({**event, "writer": number})
            return int(number)

        while True:
            try:
                return self._patiently(claim)
            except DuplicateKeyError:
                continue

    def lives(self, run: str) -> Sequence[Life]:
        query = {"run": run, "writer": {"$exists": True}}
        found = self._patiently(lambda: list(self._events.find(query).sort("writer")))
        return [Life(event["writer"], event["process"], event.get("open"), event["time"]) for event in found]

    def note_open(self, writer: int, document: Document) -> None:
        # Not waiting for the journal costs no safety: the journal is in order, and the timesteps follow.
        self._patiently(lambda: self._notes.update_one({"writer": writer}, {"$set": {"open": document}}))

    def insert_timesteps(self, rows: Rows, *, again: bool) -> None:
        batch = [RawBSONDocument(document) for document in documents(rows)]
        tried = again

        def insert() -> None:
            nonlocal tried
            tried_before, tried = tried, True
            try:
                self._timesteps.insert_many(batch, ordered=False)
            except BulkWriteError as error:
                judge_batch(error, again=tried_before)

        self._patiently(insert)

    def mark_truncated(self, timestep: int) -> None:
        change = {"$set": {"truncated": True}}
        self._patiently(lambda: self._timesteps.update_one({"_id": timestep}, change))

    def delete_timesteps(self, ids: Sequence[int]) -> None:
        self._patiently(lambda: self._timesteps.delete_many({"_id": {"$in": list(ids)}}))

    def last_timestep(self, writer: int) -> int | None:
        return self._outermost(*timesteps_of_writer(writer), DESCENDING)

    def _outermost(self, first: int, last: int, order: int) -> int | None:
        query, sort = _between(first, last), [("_id", order)]
        found = self._patiently(lambda: self._timesteps.find_one(query, {"_id": True}, sort=sort))
        return None if found is None else int(found["_id"])

    def read_timesteps(self, first: int, last: int) -> memoryview:
        def read() -> memoryview:
            try:
                # A cursor belongs to the session that it was opened in.
                with self._client.start_session() as session:
                    return documents_between(self._timesteps, session, first, last, at_a_time=_READ_BATCH).data
            except ConfigurationError:
                # A connection that was made while mongod was still starting knows no sessions for as long as it lives.
                order = [("_id", ASCENDING)]
                cursor = self._timesteps.find_raw_batches(_between(first, last), sort=order, batch_size=_READ_BATCH)
                return memoryview(b"".join(cast(Iterable[bytes], cursor)))

        return self._patiently(read)

    def insert_episode(self, document: Document) -> None:
        try:
            self._patiently(lambda: self._episodes.insert_one(document))
        except DuplicateKeyError:
            stored = self._patiently(lambda: self._episodes.find_one({"_id": document["_id"]}))
            if stored != document:
                raise WriterConflict(
                    f"episode {document['_id']} was closed by a newer life of {document['worker']!r}; "
                    "likely two processes run under one worker name"
                ) from None

    def episode_document(self, episode: int) -> Mapping[str, Any] | None:
        return self._patiently(lambda: self._episodes.find_one({"_id": episode}))

    def episodes_after(self, run: str, watermarks: Mapping[int, int]) -> Sequence[Episode]:
        known = [int(writer) for writer in watermarks]
        newer = [{"run": run, "writer": int(writer), "_id": {"$gt": int(id)}} for writer, id in watermarks.items()]
        query = {"$or": [*newer, {"run": run, "writer": {"$nin": known}}]}
        # Else the server plans for every writer anew; for hundreds of them that takes it four times as long as to look.
        found = self._patiently(lambda: list(self._episodes.find(query, hint=_OF_A_WRITER)))
        return sorted(map(episode_of, found), key=lambda episode: episode.id)

    def news(self, run: str) -> News:
        return EpisodeStream(self._episodes, run)

    def insert_event(self, document: Document) -> None:
        self._insert_once(self._events, document)

    def insert_refused(self, document: Document) -> None:
        self._insert_once(self._quarantine, document)

    def _insert_once(self, collection: Collection[Document], document: Document) -> None:
        with_id = {"_id": ObjectId(), **document}
        try:
            self._patiently(lambda: collection.insert_one(with_id))
        except DuplicateKeyError:
            # An attempt that we did not hear of, or one of a former life, has stored it.
            return

    def quarantine(self, run: str) -> Sequence[Mapping[str, Any]]:
        return self._by_time(self._quarantine, {"run": run})

    def events(self, run: str, kind: str | None = None) -> Sequence[Mapping[str, Any]]:
        return self._by_time(self._events, {"run": run} if kind is None else {"run": run, "kind": kind})

    def _by_time(self, collection: Collection[Document], query: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        order = [("time", ASCENDING), ("_id", ASCENDING)]
        return self._patiently(lambda: list(collection.find(query, {"_id": False}).sort(order)))

    def counts(self, run: str) -> Counts:
        query = {"run": run}
        ranges = _ranges([life.writer for life in self.lives(run)])
        return Counts(
            runs=self._count(self._runs, {"_id": run}),
            episodes=self._count(self._episodes, query),
            timesteps=sum(self._count(self._timesteps, _between(first, last)) for first, last in ranges),
            events=self._count(self._events, query),
            aborted=self._count(self._episodes, {**query, "ended": ABORTED}),
        )

    def _count(self, collection: Any, query: Mapping[str, Any]) -> int:
        return self._patiently(lambda: int(collection.count_documents(query)))

    # The learner's lease, by the server's clock: those of two machines may differ.

    def acquire_lease(self, run: str, holder: str, *, seconds: float) -> int:
        self.run(run)
        free = [
            {"learner": None},
            {"learner.holder": holder},
            {"$expr": {"$lte": ["$learner.expires", "$$NOW"]}},
        ]
        expires = {"$add": ["$$NOW", round(seconds * 1000)]}
        term = {"$ifNull": ["$learner_term", {"$toLong": 0}]}
        following = {"$max": [{"$add": [term, 1]}, {"$toLong": "$$NOW"}]}
        renewed = {"$eq": [{"$ifNull": ["$learner.holder", None]}, {"$literal": holder}]}
        change: list[dict[str, Any]] = [
            {"$set": {"learner_term": {"$cond": [renewed, term, following]}}},
            {"$set": {"learner": {"holder": {"$literal": holder}, "expires": expires}}},
        ]
        query, after = {"_id": run, "$or": free}, ReturnDocument.AFTER
        taken = self._patiently(lambda: self._runs.find_one_and_update(query, change, return_document=after))
        return 0 if taken is None else int(taken["learner_term"])

    def release_lease(self, run: str, holder: str) -> None:
        query = {"_id": run, "learner.holder": holder}
        self._patiently(lambda: self._runs.update_one(query, {"$set": {"learner": None}}))

    def lease_holder(self, run: str) -> str | None:
        query = {"_id": run, "$expr": {"$gt": ["$learner.expires", "$$NOW"]}}
        found = self._patiently(lambda: self._runs.find_one(query))
        return None if found is None else str(found["learner"]["holder"])

    def close(self) -> None:
        """Ends every wait with ReplayUnavailable, then disconnects."""
        self._patiently.end()
        self._client.close()

    # What moves and deletes stored data.

    def read_some(self, first: int, last: int, limit: int) -> bytes:
        def read() -> bytes:
            query, order = _between(first, last), [("_id", ASCENDING)]
            cursor = self._timesteps.find_raw_batches(query, sort=order, limit=limit, batch_size=limit)
            return b"".join(cast(Iterable[bytes], cursor))

        return self._patiently(read)

    def next_timestep(self, first: int, last: int) -> int | None:
        return self._outermost(first, last, ASCENDING)

    def delete_between(self, first: int, last: int) -> None:
        self._patiently(lambda: self._timesteps.delete_many(_between(first, last)))

    def delete_episodes(self, ids: Sequence[int]) -> None:
        self._patiently(lambda: self._episodes.delete_many({"_id": {"$in": list(ids)}}))

    def bytes_on_disk(self) -> Mapping[str, int]:
        data = self._runs.database
        names = self._patiently(data.list_collection_names)
        return {name: self._patiently(partial(_total_bytes, data, name)) for name in names}


def _total_bytes(database: Database[Document], collection: str) -> int:
    return int(database.command("collStats", collection)["totalSize"])


def _between(first: int, last: int) -> dict[str, Any]:
    """The query for ids in first..last."""
    return {"_id": {"$gte": first, "$lte": last}}


def _ranges(writers: Sequence[int]) -> list[tuple[int, int]]:
    """Timestep id ranges first..last of sorted writers, those of consecutive writers joined."""
    ranges: list[tuple[int, int]] = []
    for writer in writers:
        first, last = timesteps_of_writer(writer)
        if ranges and ranges[-1][1] + 1 == first:
            ranges[-1] = ranges[-1][0], last
        else:
            ranges.append((first, last))
    return ranges
