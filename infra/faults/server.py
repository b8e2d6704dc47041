"""A mongod of the scenario's own that can be killed: authentication, journal and replica set as in real use."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pymongo import MongoClient

from infra.services.mongod import Mongod
from infra.services.ports import pick_free_port
from infra.services.process import ServiceProcess, start

DATABASE = "faults"


@dataclass(frozen=True, kw_only=True)
class _OtherMongod(Mongod):
    """With some settings that real use does not need."""

    options: tuple[str, ...] = ()

    def command(self) -> Sequence[str]:
        return (*super().command(), *self.options)


class Server:
    """Enter it, start, kill and start again from the main thread only: the kernel ties mongod to the thread's life."""

    def __init__(self, folder: Path, data: Path | None = None, options: tuple[str, ...] = ()) -> None:
        """`data`: where its files are, default in `folder`; `options`: more of its command line."""
        self.service = _OtherMongod(
            port=pick_free_port(),
            user="faults",
            password=secrets.token_urlsafe(24),
            folder=data or folder / "data",
            key_file=folder / "mongod.key",
            log=folder / "mongod.log",
            cache_gb=0.25,
            options=options,
        )
        self._process: ServiceProcess | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.alive()

    def start(self) -> None:
        """Returns when it serves. Raises: ServiceFailed."""
        self._process = start(self.service)

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.stop()

    def uri(self, port: int | None = None) -> str:
        """Holds the password. `port`: of a line to it."""
        service = self.service
        place = f"127.0.0.1:{port or service.port}"
        return f"mongodb://{service.user}:{service.password}@{place}/?authSource=admin&directConnection=true"

    def client(self) -> MongoClient[dict[str, Any]]:
        """For those who look from outside."""
        return MongoClient(self.uri(), tz_aware=True)

    def missing(self, ids: Sequence[int]) -> int:
        """How many of these timesteps, in ascending order, the database lacks now."""
        if not ids:
            return 0
        with self.client() as client:
            query = {"_id": {"$gte": ids[0], "$lte": ids[-1]}}
            found = {document["_id"] for document in client[DATABASE]["timesteps"].find(query, {"_id": True})}
        return len(set(ids) - found)
