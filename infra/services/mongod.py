"""A mongod of our own: a replica set of one, loopback only, with authentication.

A replica set, because change streams and majority writes need one. The members of a replica set prove themselves with
a key file; who can read that file may act as the user `__system`. We do, for the set-up: it works before there is any
other user, so no moment is open to everybody, and it can be repeated after a death at any point, with a new password
or on a new port.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from infra.services.binaries import find_mongod
from infra.services.contract import HOST, ServiceFailed
from infra.services.folders import private_folder
from infra.services.mongod_log import why_it_ended
from infra.services.ports import wait_until_free

SETTING = "MONGODB_URI in .env"
_REPLICA_SET = "rs0"
_ROLES = ["root"]
_USER_EXISTS = 51003


@dataclass(frozen=True, kw_only=True)
class Mongod:
    """A `Service`."""

    port: int
    user: str
    password: str = field(repr=False)
    folder: Path
    """The data."""
    key_file: Path
    log: Path
    cache_gb: float = 1.0
    """Of the storage engine, from 0.25; the file system's cache comes on top."""
    start_s: float = 60.0
    """Seconds it may take to serve; recovery after a power cut takes some."""
    patience_s: float = 30.0
    """Seconds that a former life may take to write its data and give the port back."""

    @property
    def name(self) -> str:
        return "mongod"

    def prepare(self) -> None:
        private_folder(self.folder)
        _make_key(self.key_file)
        self._wait_for_folder()
        wait_until_free(self.port, "mongod", SETTING, min(10.0, self.patience_s))

    def command(self) -> Sequence[str]:
        return (
            *(str(find_mongod()), "--dbpath", str(self.folder), "--logpath", str(self.log), "--logappend", "--quiet"),
            *("--bind_ip", HOST, "--port", str(self.port), "--nounixsocket"),
            *("--replSet", _REPLICA_SET, "--auth", "--keyFile", str(self.key_file)),
            # Without this, whoever connects first from this machine could make the first user.
            *("--setParameter", "enableLocalhostAuthBypass=false"),
            # A flaw in a decompressor can be used before a client has authenticated.
            *("--networkMessageCompressors", "disabled"),
            *("--wiredTigerCacheSizeGB", f"{self.cache_gb:g}", "--oplogSize", "1024", "--slowms", "1000"),
            # Up to 200 MB of measurements that nobody here reads.
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        )

    def environment(self) -> Mapping[str, str]:
        return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "TZ") if name in os.environ}

    def make_ready(self, alive: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + self.start_s
        with self._client("__system", _read_key(self.key_file), "local") as system:
            self._until(lambda: self._answers(system), alive, deadline_s, "answer")
            try:
                self._join(system)
                self._until(lambda: _is_primary(system), alive, deadline_s, "become primary")
                self._make_user(system)
            except PyMongoError as error:
                if not alive():
                    raise ServiceFailed(self.last_words()) from None
                raise ServiceFailed(f"mongod on {HOST}:{self.port} can not be set up: {_short(error)}") from None

    def last_words(self) -> str:
        return why_it_ended(self.log, self.folder, self.port, SETTING)

    def _client(self, user: str, password: str, source: str) -> MongoClient[dict[str, Any]]:
        return MongoClient(
            HOST,
            self.port,
            username=user,
            password=password,
            authSource=source,
            directConnection=True,
            serverSelectionTimeoutMS=500,
            connectTimeoutMS=2000,
            socketTimeoutMS=20_000,
        )

    def _until(self, done: Callable[[], bool], alive: Callable[[], bool], deadline_s: float, what: str) -> None:
        while not done():
            if not alive():
                raise ServiceFailed(self.last_words())
            if time.monotonic() > deadline_s:
                raise ServiceFailed(f"mongod did not {what} within {self.start_s:g} s; its log is {self.log}")
            time.sleep(0.05)

    def _answers(self, client: MongoClient[dict[str, Any]]) -> bool:
        try:
            client.admin.command("ping")
        except ConnectionFailure:
            return False
        except OperationFailure as error:
            raise ServiceFailed(
                f"the server on {HOST}:{self.port} does not accept our key file ({_short(error)}); likely another "
                f"program took the port of {SETTING}"
            ) from None
        return True

    def _join(self, system: MongoClient[dict[str, Any]]) -> None:
        """Makes this mongod the one member of the set, under the address that it has now."""
        address = f"{HOST}:{self.port}"
        stored = system["local"]["system.replset"].find_one()
        if stored is None:
            system.admin.command("replSetInitiate", {"_id": _REPLICA_SET, "members": [{"_id": 0, "host": address}]})
        elif [member["host"] for member in stored["members"]] != [address]:
            # The port has changed, so no member finds itself in the set, and nobody could vote for the change.
            member = stored["members"][0] | {"host": address}
            changed = stored | {"members": [member], "version": stored["version"] + 1}
            system.admin.command("replSetReconfig", changed, force=True)

    def _make_user(self, system: MongoClient[dict[str, Any]]) -> None:
        """Makes the user, or gives the one that exists the password of the settings."""
        try:
            with self._client(self.user, self.password, "admin") as own:
                own.admin.command("ping")
        except OperationFailure:
            user: dict[str, Any] = {"pwd": self.password, "roles": _ROLES, "writeConcern": {"w": "majority", "j": True}}
            try:
                system.admin.command("createUser", self.user, **user)
            except OperationFailure as error:
                if error.code != _USER_EXISTS:
                    raise
                system.admin.command("updateUser", self.user, **user)

    def _wait_for_folder(self) -> None:
        """A mongod whose supervisor was killed needs a moment to write its data; no second one may start before."""
        lock = self.folder / "mongod.lock"
        deadline_s = time.monotonic() + self.patience_s
        while lock.exists() and _is_locked(lock):
            if time.monotonic() > deadline_s:
                holder = lock.read_text().strip() or "unknown"
                raise ServiceFailed(
                    f"another mongod (process {holder}) uses {self.folder}; stop it, or choose another DATA_DIR"
                )
            time.sleep(0.1)


def _is_primary(client: MongoClient[dict[str, Any]]) -> bool:
    return bool(client.admin.command("hello").get("isWritablePrimary"))


def _short(error: PyMongoError) -> str:
    """An error without the server's whole answer."""
    return str(error).split(", full error:")[0].rstrip(".")


def _make_key(path: Path) -> None:
    """mongod refuses a key file that others may read."""
    try:
        if not path.exists():
            temporary = path.with_suffix(".new")
            temporary.unlink(missing_ok=True)
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
                file.write(secrets.token_hex(64))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        path.chmod(0o400)
    except OSError as error:
        raise ServiceFailed(f"the key file {path} can not be made ({error.strerror}); is DATA_DIR yours?") from error


def _read_key(path: Path) -> str:
    """As mongod reads it: without white space."""
    return "".join(path.read_text().split())


def _is_locked(path: Path) -> bool:
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
