"""Connecting to MongoDB, and saying clearly why that failed, without the password."""

from __future__ import annotations

import time
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, ConnectionFailure, InvalidURI, OperationFailure
from pymongo.uri_parser import parse_uri

from agents.replay.contract import ReplayUnavailable

_REFUSED_CREDENTIALS = {13: "asks for credentials", 18: "refuses the credentials"}
_URI_HELP = (
    "MONGODB_URI is not valid; needed mongodb://USER:PASSWORD@HOST:PORT/?authSource=admin, with the special "
    "characters of user and password percent-encoded"
)
_SELECTION_MS = 500
"""The driver's own wait for a server: short, so that the waiting is ours, and counted."""


def connect(uri: str, connect_s: float) -> MongoClient[dict[str, Any]]:
    """A client whose server has answered within `connect_s`. Raises: ReplayUnavailable."""
    client = _client(uri, connect_s)
    deadline = time.monotonic() + connect_s
    while True:
        try:
            client.admin.command("ping")
        except (OperationFailure, ConnectionFailure) as error:
            if isinstance(error, OperationFailure) or time.monotonic() > deadline:
                client.close()
                raise unavailable(uri, error) from error
        else:
            return client


def _client(uri: str, connect_s: float) -> MongoClient[dict[str, Any]]:
    try:
        if not uri.startswith(("mongodb://", "mongodb+srv://")):
            raise InvalidURI("no scheme")  # which the driver would take for a bare host name
        return MongoClient(
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


def unavailable(uri: str, error: Exception) -> ReplayUnavailable:
    """What to raise when the server at `uri` answered with `error`, or not at all."""
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
