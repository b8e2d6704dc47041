"""Where this machine's services are: `.env`, read once, made at the first start.

`MONGODB_URI` and `S3_BUCKET` name the database and the bucket. Whichever is unset at the first `up` gets a local server
with generated credentials; the standard variables are then written to `.env`, so that every process, notebook or
stranger's script needs nothing else. `LOCAL_SERVICES` says which servers are ours to start.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values, load_dotenv

from agents.config import data_dir
from agents.connections import ROOT

SERVICES = ("mongod", "s3")
_FIRST_PORT = {"mongod": 27117, "s3": 9117}
_PORTS_TRIED = 200


class SettingsError(ValueError):
    """`.env` can not be used as it is. One sentence for the user."""


@dataclass(frozen=True)
class Settings:
    """What this machine runs for itself, and where."""

    local: tuple[str, ...]
    """Of `SERVICES`, those to start here."""
    folder: Path
    """Data and logs of local services."""

    @classmethod
    def load(cls, env_file: Path = ROOT / ".env", *, create: bool = False) -> Settings:
        """Reads `.env` into the environment (real variables win); with `create` fills in what is unset.

        Raises: SettingsError.
        """
        if create:
            _fill_in(env_file)
        load_dotenv(env_file)
        local = tuple(name.strip() for name in os.environ.get("LOCAL_SERVICES", "").split(",") if name.strip())
        unknown = [name for name in local if name not in SERVICES]
        if unknown:
            raise SettingsError(f"LOCAL_SERVICES names {unknown[0]!r}; there are {', '.join(SERVICES)}")
        return cls(local, data_dir().resolve())

    @property
    def mongod_port(self) -> int:
        """Of the local mongod."""
        return _local_port("MONGODB_URI")

    @property
    def s3_port(self) -> int:
        """Of the local S3 server."""
        return _local_port("AWS_ENDPOINT_URL_S3")

    def port(self, service: str) -> int:
        """Of a local service by name."""
        return self.mongod_port if service == "mongod" else self.s3_port


def _fill_in(env_file: Path) -> None:
    """Gives every service that is named nowhere a local server; leaves all other lines as they are."""
    known = dotenv_values(env_file) | dict(os.environ)
    local = [name.strip() for name in (known.get("LOCAL_SERVICES") or "").split(",") if name.strip()]
    made: dict[str, str] = {}
    if not known.get("MONGODB_URI"):
        port, password = _free_port("mongod"), secrets.token_urlsafe(24)
        made["MONGODB_URI"] = f"mongodb://prosthetics:{password}@127.0.0.1:{port}/?authSource=admin&replicaSet=rs0"
        local.append("mongod")
    if not known.get("S3_BUCKET"):
        made["S3_BUCKET"] = "prosthetics"
        made["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{_free_port('s3')}"
        made["AWS_ACCESS_KEY_ID"] = secrets.token_hex(10).upper()
        made["AWS_SECRET_ACCESS_KEY"] = secrets.token_urlsafe(30)
        made["AWS_DEFAULT_REGION"] = known.get("AWS_DEFAULT_REGION") or "us-east-1"
        local.append("s3")
    if made:
        write_env(env_file, made | {"LOCAL_SERVICES": ",".join(dict.fromkeys(local))})


def write_env(env_file: Path, values: Mapping[str, str]) -> None:
    """Sets variables in a `.env` file, readable by its owner only; other lines stay. A crash leaves the old file."""
    kept = env_file.read_text().splitlines() if env_file.exists() else []
    lines = [line for line in kept if line.split("=", 1)[0].strip() not in values]
    lines += [f"{name}={value}" for name, value in values.items()]
    staged = env_file.with_name(env_file.name + ".part")
    try:
        staged.touch(mode=0o600)
        staged.chmod(0o600)
        staged.write_text("\n".join(lines) + "\n")
        staged.replace(env_file)
    except OSError as error:
        raise SettingsError(f"cannot write {env_file}: {error.strerror}; the first start keeps its credentials there") from error


def _local_port(variable: str) -> int:
    port = urlsplit(os.environ.get(variable, "")).port
    if port is None:
        raise SettingsError(f"{variable} names no port, but LOCAL_SERVICES says that its server is to be started here")
    return port


def _free_port(service: str) -> int:
    first = _FIRST_PORT[service]
    for port in range(first, first + _PORTS_TRIED):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise SettingsError(f"no free port for {service} in {first}..{first + _PORTS_TRIED - 1}; free one, or name a server in .env")
