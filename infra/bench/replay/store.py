"""A database of the benchmark's own on the server that `.env` names, gone afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.write_concern import WriteConcern

from agents.connections import Connections
from agents.replay.codec import TimestepCodec
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Run


@dataclass(frozen=True, slots=True)
class Store:
    """Where it is. Another process gets it as it is, and opens connections of its own."""

    uri: str = field(repr=False)
    database: str

    def open(self) -> MongoReplay:
        """A connection of its own."""
        return MongoReplay(self.uri, self.database)

    @contextmanager
    def collection(self, name: str) -> Iterator[Collection[dict[str, Any]]]:
        """Beside those of the log, as durable as they are; for peers, and to look at the log from outside."""
        with MongoClient[dict[str, Any]](self.uri, tz_aware=True) as client:
            yield client[self.database].get_collection(name, write_concern=WriteConcern(w="majority", j=True))

    def disk_bytes(self, name: str) -> int:
        """Of a collection and its indexes, as of a checkpoint taken now."""
        with self.collection(name) as found:
            found.database.client.admin.command("fsync")
            told = found.database.command("collStats", name)
        return int(told["storageSize"]) + int(told["totalIndexSize"])

    def server(self) -> str:
        """Its version."""
        with self.collection("timesteps") as found:
            return str(found.database.client.server_info()["version"])


@contextmanager
def bench_store(uri: str | None = None) -> Iterator[Store]:
    """An empty database, with authentication, journal and replica set as in real use.

    Raises: ConnectionsMissing, ReplayUnavailable.
    """
    store = Store(uri or Connections.from_environment().mongodb_uri, f"bench_{uuid.uuid4().hex[:12]}")
    try:
        store.open().close()
        yield store
    finally:
        with MongoClient[dict[str, Any]](store.uri) as client:
            client.drop_database(store.database)


def codec_of(run: Run) -> TimestepCodec:
    """Of its timesteps."""
    return TimestepCodec(run.name, len(run.state_names), len(run.action_names))
