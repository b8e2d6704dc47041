"""Where the replay log and the checkpoints are, from the environment and `.env`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_DATABASE = "ProstheticsEnv"


class ConnectionsMissing(RuntimeError):
    """A variable without which nothing can be reached is unset."""


@dataclass(frozen=True, slots=True, repr=False)
class Connections:
    """Addresses of the two stores. AWS credentials are not here: boto3 takes them from the environment itself."""

    mongodb_uri: str
    mongodb_database: str
    s3_bucket: str
    s3_endpoint: str | None
    """URL of an S3 server; None means AWS."""

    @classmethod
    def from_environment(cls, env_file: Path | None = None) -> Connections:
        """Loads `.env` into this process's environment, where real variables win, and reads what is needed there.

        Args:
            env_file: default: ENV_FILE, else `.env` at the repository's root. It need not exist.

        Raises: ConnectionsMissing.
        """
        load_env(env_file)
        return cls(
            mongodb_uri=_needed("MONGODB_URI"),
            mongodb_database=os.environ.get("MONGODB_DATABASE") or DEFAULT_DATABASE,
            s3_bucket=_needed("S3_BUCKET"),
            s3_endpoint=os.environ.get("AWS_ENDPOINT_URL_S3") or None,
        )

    def __repr__(self) -> str:
        """Without user, password and options of the URI."""
        return (
            f"Connections(mongodb={_host(self.mongodb_uri)!r}, database={self.mongodb_database!r}, "
            f"s3_bucket={self.s3_bucket!r}, s3={_host(self.s3_endpoint) if self.s3_endpoint else 'AWS'!r})"
        )


def load_env(env_file: Path | None = None) -> None:
    """Puts the variables of `.env` that are unset or empty in this process's environment into it."""
    path = env_file or Path(os.environ.get("ENV_FILE") or ROOT / ".env")
    # Values are taken as they are: a password may well contain a dollar sign.
    for name, value in dotenv_values(path, interpolate=False).items():
        if value and not os.environ.get(name):
            os.environ[name] = value


def _needed(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ConnectionsMissing(
            f"{name} is not set, in the environment or in .env; run `python -m infra up` for services on this machine, "
            "or copy .env.example to .env and fill it in"
        )
    return value


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
