"""The replay log in MongoDB. The only module that knows pymongo.

Every write is acknowledged by a majority and in the journal before it counts. While the server is away, callers
wait; the ids make every retry harmless.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING, DESCENDING, MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    InvalidOperation,
    InvalidURI,
    OperationFailure,
    WriteConcernError,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from agents.replay.codec import Rows, documents
from agents.replay.contract import (
    ABORTED,
    EPISODE_BITS,
    STEP_BITS,
    Counts,
    Episode,
    News,
    ReplayUnavailable,
    WriterConflict,
)
from agents.replay.documents import Document, episode_of, utc_now
from agents.replay.log import Log
from agents.replay.raw_read import documents_between
from agents.replay.storage import Life
from agents.replay.stream import EpisodeStream

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_WRITER_SHIFT = EPISODE_BITS + STEP_BITS
_READ_BATCH = 4_000
"""Documents per reply of a range read: some 7.5 MB, of 16 that a reply may have."""
_DUPLICATE_KEY = 11000
_GOING_AWAY = {91, 189, 10107, 11600, 11602, 13435, 13436}
"""Codes of a server that shuts down or hands over while it executes a batch."""
_REFUSED_CREDENTIALS = {13: "asks for credentials", 18: "refuses the credentials"}
_LONGEST_PAUSE_S = 2.0
_URI_HELP = (
    "MONGODB_URI is not valid; needed mongodb://USER:PASSWORD@HOST:PORT/?authSource=admin, with the special "
    "characters of user and password percent-encoded"
)
_SELECTION_MS = 500
"""The driver's own wait for a server: short, so that the waiting is ours, and counted."""


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
        self._patience_s = patience_s
        self._closed = threading.Event()
        self._client = _connect(uri, connect_s)
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
            raise _unavailable(uri, error) from error

    def _create_indexes(self) -> None:
        self._episodes.create_index([("run", ASCENDING), ("writer", ASCENDING), ("_id", ASCENDING)])
        self._episodes.create_index([("run", ASCENDING), ("finished", ASCENDING)])
        self._events.create_index([("run", ASCENDING), ("time", ASCENDING)])
        self._events.create_index("writer", unique=True, partialFilterExpression={"writer": {"$exists": True}})

    def _patiently(self, operation: Callable[[], _T]) -> _T:
        """Calls `operation` until the server answers. An earlier call may have succeeded without our hearing of it."""
        started, pause_s, away = time.monotonic(), 0.05, False
        while True:
            try:
                result = operation()
            except (ConnectionFailure, WTimeoutError, WriteConcernError, InvalidOperation) as error:
                if isinstance(error, InvalidOperation) and not self._closed.is_set():
                    raise
                away_s = time.monotonic() - started
                if not away:
                    _log.warning("replay store is away, waiting: %s", type(error).__name__)
                if self._closed.is_set() or (self._patience_s is not None and away_s > self._patience_s):
                    self.waited_s += away_s
                    raise ReplayUnavailable(f"the replay store did not answer for {away_s:.1f} s") from error
                away = True
                self._closed.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            if away:
                self.waited_s += time.monotonic() - started
                _log.warning("replay store is back after %.1f s", time.monotonic() - started)
            return result

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
                _judge(error, tried_before)

        self._patiently(insert)

    def mark_truncated(self, timestep: int) -> None:
        change = {"$set": {"truncated": True}}
        self._patiently(lambda: self._timesteps.update_one({"_id": timestep}, change))

    def delete_timesteps(self, ids: Sequence[int]) -> None:
        self._patiently(lambda: self._timesteps.delete_many({"_id": {"$in": list(ids)}}))

    def last_timestep(self, writer: int) -> int | None:
        query = {"_id": {"$gte": writer << _WRITER_SHIFT, "$lt": (writer + 1) << _WRITER_SHIFT}}
        newest = self._patiently(lambda: self._timesteps.find_one(query, {"_id": True}, sort=[("_id", DESCENDING)]))
        return None if newest is None else int(newest["_id"])

    def read_timesteps(self, first: int, last: int) -> memoryview:
        def read() -> memoryview:
            # A cursor belongs to the session that it was opened in.
            with self._client.start_session() as session:
                return documents_between(self._timesteps, session, first, last, at_a_time=_READ_BATCH).data

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

    def has_episode(self, episode: int) -> bool:
        return self._patiently(lambda: self._episodes.find_one({"_id": episode}, {"_id": True})) is not None

    def episodes_after(self, run: str, watermarks: Mapping[int, int]) -> Sequence[Episode]:
        known = [int(writer) for writer in watermarks]
        newer = [{"run": run, "writer": int(writer), "_id": {"$gt": int(id)}} for writer, id in watermarks.items()]
        query = {"$or": [*newer, {"run": run, "writer": {"$nin": known}}]}
        found = self._patiently(lambda: list(self._episodes.find(query)))
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
        order = [("time", ASCENDING), ("_id", ASCENDING)]
        return self._patiently(lambda: list(self._quarantine.find({"run": run}, {"_id": False}).sort(order)))

    def events(self, run: str, kind: str | None = None) -> Sequence[Mapping[str, Any]]:
        query = {"run": run} if kind is None else {"run": run, "kind": kind}
        order = [("time", ASCENDING), ("_id", ASCENDING)]
        return self._patiently(lambda: list(self._events.find(query, {"_id": False}).sort(order)))

    def counts(self, run: str) -> Counts:
        query = {"run": run}
        ranges = _ranges([life.writer for life in self.lives(run)])
        return Counts(
            runs=self._count(self._runs, {"_id": run}),
            episodes=self._count(self._episodes, query),
            timesteps=sum(self._count(self._timesteps, {"_id": {"$gte": a, "$lt": b}}) for a, b in ranges),
            events=self._count(self._events, query),
            aborted=self._count(self._episodes, {**query, "ended": ABORTED}),
        )

    def _count(self, collection: Any, query: Mapping[str, Any]) -> int:
        return self._patiently(lambda: int(collection.count_documents(query)))

    # The learner's lease, by the server's clock: those of two machines may differ.

    def acquire_lease(self, run: str, holder: str, *, seconds: float) -> bool:
        self.run(run)
        free = [
            {"learner": None},
            {"learner.holder": holder},
            {"$expr": {"$lte": ["$learner.expires", "$$NOW"]}},
        ]
        expires = {"$add": ["$$NOW", round(seconds * 1000)]}
        change = [{"$set": {"learner": {"holder": {"$literal": holder}, "expires": expires}}}]
        taken = self._patiently(lambda: self._runs.find_one_and_update({"_id": run, "$or": free}, change))
        return taken is not None

    def release_lease(self, run: str, holder: str) -> None:
        query = {"_id": run, "learner.holder": holder}
        self._patiently(lambda: self._runs.update_one(query, {"$set": {"learner": None}}))

    def lease_holder(self, run: str) -> str | None:
        query = {"_id": run, "$expr": {"$gt": ["$learner.expires", "$$NOW"]}}
        found = self._patiently(lambda: self._runs.find_one(query))
        return None if found is None else str(found["learner"]["holder"])

    def close(self) -> None:
        """Ends every wait with ReplayUnavailable, then disconnects."""
        self._closed.set()
        self._client.close()

    # What moves and deletes stored data.

    def read_some(self, first: int, last: int, limit: int) -> bytes:
        def read() -> bytes:
            query = {"_id": {"$gte": first, "$lte": last}}
            order = [("_id", ASCENDING)]
            cursor = self._timesteps.find_raw_batches(query, sort=order, limit=limit, batch_size=limit)
            return b"".join(cast(Iterable[bytes], cursor))

        return self._patiently(read)

    def next_timestep(self, first: int, last: int) -> int | None:
        query = {"_id": {"$gte": first, "$lte": last}}
        found = self._patiently(lambda: self._timesteps.find_one(query, {"_id": True}, sort=[("_id", ASCENDING)]))
        return None if found is None else int(found["_id"])

    def delete_between(self, first: int, last: int) -> None:
        self._patiently(lambda: self._timesteps.delete_many({"_id": {"$gte": first, "$lte": last}}))

    def delete_episodes(self, ids: Sequence[int]) -> None:
        self._patiently(lambda: self._episodes.delete_many({"_id": {"$in": list(ids)}}))

    def bytes_on_disk(self) -> Mapping[str, int]:
        data = self._runs.database
        names = self._patiently(data.list_collection_names)
        return {name: self._patiently(partial(_total_bytes, data, name)) for name in names}


def _total_bytes(database: Database[Document], collection: str) -> int:
    return int(database.command("collStats", collection)["totalSize"])


def _connect(uri: str, connect_s: float) -> MongoClient[Document]:
    try:
        if not uri.startswith(("mongodb://", "mongodb+srv://")):
            raise InvalidURI("no scheme")  # which the driver would take for a bare host name
        client: MongoClient[Document] = MongoClient(
            uri,
            tz_aware=True,
            serverSelectionTimeoutMS=_SELECTION_MS,
            connectTimeoutMS=round(connect_s * 1000),
            socketTimeoutMS=60_000,
            appname="replay",
        )
    except (InvalidURI, ConfigurationError, ValueError):
        # The driver's message may quote a part of the URI that it took for something else than a password.
        raise ReplayUnavailable(_URI_HELP) from None
    deadline = time.monotonic() + connect_s
    while True:
        try:
            client.admin.command("ping")
        except (OperationFailure, ConnectionFailure) as error:
            if isinstance(error, OperationFailure) or time.monotonic() > deadline:
                client.close()
                raise _unavailable(uri, error) from error
        else:
            return client


def _unavailable(uri: str, error: Exception) -> ReplayUnavailable:
    parsed = parse_uri(uri, validate=False, connect_timeout=5)
    hosts = ", ".join(f"{host}:{port}" for host, port in parsed["nodelist"])
    user = parsed["username"]
    if isinstance(error, OperationFailure):
        problem = _REFUSED_CREDENTIALS.get(error.code or 0, f"answers with error {error.code}")
        return ReplayUnavailable(
            f"MongoDB at {hosts} {problem}; found user {user!r} in MONGODB_URI, needed one who may read and write; "
            "likely a wrong password, a missing authSource=admin, or another server on that port"
        )
    return ReplayUnavailable(
        f"MongoDB at {hosts} does not answer ({type(error).__name__}); needed a running mongod there; likely it is "
        "not started, or MONGODB_URI names another port"
    )


def _judge(error: BulkWriteError, again: bool) -> None:
    """Returns when every document is stored.

    Raises: AutoReconnect when the rest has to be tried again, WriterConflict when ids were taken before we wrote.
    """
    details = error.details or {}
    codes = {int(item["code"]) for item in details.get("writeErrors", [])}
    if codes - {_DUPLICATE_KEY} - _GOING_AWAY:
        raise error
    if codes & _GOING_AWAY or details.get("writeConcernErrors"):
        raise AutoReconnect("the server went away during a batch") from error
    if codes and not again:
        raise WriterConflict(
            "timesteps with these ids exist before they were written; another process uses the same writer number"
        ) from error


def _ranges(writers: Sequence[int]) -> list[tuple[int, int]]:
    """Timestep id ranges [from, to) of sorted writers, those of consecutive writers joined."""
    ranges: list[tuple[int, int]] = []
    for writer in writers:
        start, stop = writer << _WRITER_SHIFT, (writer + 1) << _WRITER_SHIFT
        if ranges and ranges[-1][1] == start:
            ranges[-1] = ranges[-1][0], stop
        else:
            ranges.append((start, stop))
    return ranges
