"""Where the database and the checkpoint store are: read once from the environment and `.env`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import load_dotenv

ROOT = Path(__file__).resolve().parent.parent


class ConnectionsMissing(LookupError):
    """A service is not named anywhere. Says which variable, and how to get one."""


@dataclass(frozen=True)
class Connections:
    """The services of a process. boto3 takes AWS_* credentials from the environment itself."""

    mongodb_uri: str = field(repr=False)
    """With user and password, so it is never printed."""
    mongodb_database: str
    s3_bucket: str
    s3_endpoint: str | None
    """URL of an S3 server; None is AWS."""

    @classmethod
    def from_environment(cls) -> Connections:
        """Real environment variables win over `.env`. Raises: ConnectionsMissing."""
        load_dotenv(ROOT / ".env")
        return cls(
            mongodb_uri=_needed(os.environ, "MONGODB_URI"),
            mongodb_database=os.environ.get("MONGODB_DATABASE") or "ProstheticsEnv",
            s3_bucket=_needed(os.environ, "S3_BUCKET"),
            s3_endpoint=os.environ.get("AWS_ENDPOINT_URL_S3") or None,
        )


def _needed(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise ConnectionsMissing(
            f"{name} is unset: start local services with `python -m infra up`, or copy its line from .env.example to .env"
        )
    return value
