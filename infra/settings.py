"""The settings of this machine: the environment and `.env`, read once. `.env.example` explains every name.

Real environment variables win over `.env`; an empty value counts as unset. `MONGODB_URI` and `S3_BUCKET` name the
stores. `Settings.load(create=True)` gives whichever is unset a server on this machine, with generated credentials, and
writes the standard variables to `.env`: every process, notebook or stranger's script needs nothing else.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

import psutil
from dotenv import dotenv_values

from agents.connections import DEFAULT_DATABASE, ROOT
from infra.env_file import SettingsError, locked, write_env
from infra.services.contract import HOST
from infra.services.ports import pick_free_port

__all__ = ["MONGOD", "S3", "Settings", "SettingsError", "fill_in"]

MONGOD, S3 = "mongod", "s3"
VARIABLE_OF = {MONGOD: "MONGODB_URI", S3: "S3_BUCKET"}
"""The variable that names each service; unset means that one is to be started here."""
_LOOPBACK = (HOST, "localhost")
_USER = "prosthetics"
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_DEFAULTS = {"MONGODB_DATABASE": DEFAULT_DATABASE, "AWS_DEFAULT_REGION": "us-east-1"}
_SERVERS_DEPEND_ON = ("MONGOD_CACHE_GB", "MONGODB_URI", "S3_BUCKET", "AWS_ENDPOINT_URL_S3", *_KEYS)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `.env` and the environment say."""

    env_file: Path
    values: Mapping[str, str] = field(repr=False)
    """Every variable that is set: secrets too, so never print it."""
    local: tuple[str, ...]
    """Of `mongod` and `s3`, those that this machine runs for itself."""

    @classmethod
    def load(cls, env_file: Path | None = None, *, create: bool = False) -> Settings:
        """Reads `.env` and puts it into this process's environment, for boto3, the agents and children.

        Args:
            env_file: default: ENV_FILE, else `.env` at the repository's root. It need not exist.
            create: first give every service that is named nowhere a server here.

        Raises: SettingsError.
        """
        settings = fill_in(env_file) if create else cls.read(env_file)
        settings.apply(os.environ)
        return settings

    @classmethod
    def read(cls, env_file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
        """Only reads. Raises: SettingsError."""
        real = {name: value for name, value in (os.environ if environment is None else environment).items() if value}
        path = env_file or Path(real.get("ENV_FILE") or ROOT / ".env")
        written = {name: value for name, value in dotenv_values(path, interpolate=False).items() if value}
        values = written | real
        names = _service_names(values.get("LOCAL_SERVICES", ""))
        if "LOCAL_SERVICES" not in real:
            # A server that .env describes is not in use when the environment names another one in its place.
            names = tuple(name for name in names if values.get(VARIABLE_OF[name]) == written.get(VARIABLE_OF[name]))
        return cls(env_file=path, values=values, local=names)

    def apply(self, environment: MutableMapping[str, str]) -> None:
        """Puts every value there; the folder as an absolute path."""
        environment.update(self.values)
        environment["DATA_DIR"] = str(self.folder)
        environment["LOCAL_SERVICES"] = ",".join(self.local)

    @property
    def folder(self) -> Path:
        """DATA_DIR, absolute: logs, runs, and the data of local services."""
        return (ROOT / self.values.get("DATA_DIR", ".data")).absolute()

    @property
    def mongod_cache_gb(self) -> float:
        """MONGOD_CACHE_GB, else a sixth of this machine's memory, at most 4: so much holds two million timesteps.

        Raises: SettingsError.
        """
        text = self.values.get("MONGOD_CACHE_GB")
        if text is None:
            sixth_gb = float(psutil.virtual_memory().total) / 6e9
            return round(min(4.0, max(0.25, sixth_gb)), 2)
        try:
            size = float(text)
        except ValueError:
            size = 0.0
        if not 0.25 <= size <= 10_000:
            raise SettingsError(f"MONGOD_CACHE_GB is {text!r}; needed a number of gigabytes from 0.25")
        return size

    def mongod_address(self) -> tuple[int, str, str]:
        """Port, user and password that MONGODB_URI gives the local mongod. Raises: SettingsError."""
        like = f"mongodb://USER:PASSWORD@{HOST}:PORT/?authSource=admin"
        url, port = self._local_url("MONGODB_URI", like)
        if not (url.scheme == "mongodb" and url.username and url.password):
            raise SettingsError(f"MONGODB_URI of the local mongod must look like {like}, with a user and a password")
        return port, unquote(url.username), unquote(url.password)

    def s3_port(self) -> int:
        """Port that AWS_ENDPOINT_URL_S3 gives the local S3 server. Raises: SettingsError."""
        like = f"http://{HOST}:PORT"
        url, port = self._local_url("AWS_ENDPOINT_URL_S3", like)
        if url.scheme != "http":
            raise SettingsError(f"AWS_ENDPOINT_URL_S3 of the local S3 server must look like {like}; it speaks no https")
        return port

    def s3_credentials(self) -> tuple[str, str, str, str]:
        """Bucket, key id, secret and region of the local S3 server. Raises: SettingsError."""
        bucket, key, secret = (self._needed(name) for name in ("S3_BUCKET", *_KEYS))
        return bucket, key, secret, self.values.get("AWS_DEFAULT_REGION", _DEFAULTS["AWS_DEFAULT_REGION"])

    def fingerprint(self) -> str:
        """Changes when the local servers have to be started anew to follow the settings."""
        # The folder as it is used: a relative and an absolute DATA_DIR may mean the same one.
        facts = [f"{name}={self.values.get(name, '')}" for name in _SERVERS_DEPEND_ON] + [f"DATA_DIR={self.folder}"]
        return hashlib.sha256("\n".join((*facts, *self.local)).encode()).hexdigest()

    def _needed(self, name: str) -> str:
        if name not in self.values:
            raise SettingsError(f"{name} is not set, but a server in LOCAL_SERVICES needs it; is it missing in .env?")
        return self.values[name]

    def _local_url(self, name: str, like: str) -> tuple[SplitResult, int]:
        """A URL of this machine, and its port. The text stays out of errors: it may hold a password."""
        text = self._needed(name)
        try:
            url = urlsplit(text)
            port = url.port
        except ValueError:
            url, port = SplitResult("", "", "", "", ""), None
        if url.hostname not in _LOOPBACK or not port:
            raise SettingsError(
                f"{name} must look like {like}, because LOCAL_SERVICES says that this machine runs that server; if "
                "another one does, take it out of LOCAL_SERVICES"
            )
        return url, port


def fill_in(env_file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Gives every service that is named nowhere a server on this machine: port, credentials, and lines in `.env`.

    Writes nothing when nothing is missing. Two processes that do this at once end with the same settings.

    Raises: SettingsError.
    """
    path = Settings.read(env_file, environment).env_file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"the folder of {path} can not be made: {error.strerror}") from error
    with locked(path.parent):
        settings = Settings.read(path, environment)
        made: dict[str, str] = {}
        mongod_port = pick_free_port()
        if "MONGODB_URI" not in settings.values:
            made |= _new_mongod(mongod_port)
        if "S3_BUCKET" not in settings.values:
            made |= _new_s3(settings.values, pick_free_port((mongod_port,)))
        if not made:
            return settings
        local = tuple(name for name, variable in VARIABLE_OF.items() if variable in made or name in settings.local)
        made["LOCAL_SERVICES"] = ",".join(local)
        made |= {name: value for name, value in _DEFAULTS.items() if name not in settings.values}
        write_env(path, made)
    return Settings(env_file=path, values={**settings.values, **made}, local=local)


def _new_mongod(port: int) -> dict[str, str]:
    user = f"{_USER}:{quote(secrets.token_urlsafe(24), safe='')}"
    # Without directConnection a client would look for the address that the replica set knows itself by, which fails
    # through a tunnel with another port.
    return {"MONGODB_URI": f"mongodb://{user}@{HOST}:{port}/?authSource=admin&directConnection=true"}


def _new_s3(values: Mapping[str, str], port: int) -> dict[str, str]:
    if "AWS_ENDPOINT_URL_S3" in values:
        raise SettingsError(
            "AWS_ENDPOINT_URL_S3 is set but S3_BUCKET is not; set the bucket to use that server, or unset the endpoint "
            "to get a server on this machine"
        )
    given = [name for name in _KEYS if name in values]
    if len(given) == 1:
        raise SettingsError(f"{given[0]} is set, but not the other of {' and '.join(_KEYS)}; set both or none")
    made = {"S3_BUCKET": "prosthetics", "AWS_ENDPOINT_URL_S3": f"http://{HOST}:{port}"}
    if not given:
        # Keys that the environment holds would win over ours, so then the local server accepts those.
        made |= {_KEYS[0]: f"local{secrets.token_hex(8)}", _KEYS[1]: secrets.token_urlsafe(30)}
    return made


def _service_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in VARIABLE_OF]
    if unknown:
        raise SettingsError(f"LOCAL_SERVICES names {unknown[0]!r}; needed a list of {', '.join(VARIABLE_OF)}")
    return tuple(name for name in VARIABLE_OF if name in names)
