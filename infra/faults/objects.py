"""An S3 server of the scenario's own, named in this process's environment while it runs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra.faults.server import DATABASE
from infra.services.ports import pick_free_port
from infra.services.process import start
from infra.services.s3 import S3Server

_STRANGE = ("AWS_SESSION_TOKEN", "AWS_PROFILE")
"""Of the user's own account."""


@contextmanager
def checkpoints_here(folder: Path, mongodb_uri: str) -> Iterator[None]:
    """`Connections.from_environment` and children of this process find the scenario's servers, nobody else's."""
    service = S3Server(
        port=pick_free_port(),
        bucket="faults",
        access_key_id=f"faults{secrets.token_hex(8)}",
        secret_access_key=secrets.token_urlsafe(30),
        region="us-east-1",
        folder=folder / "s3",
        log=folder / "s3.log",
    )
    variables = {
        "ENV_FILE": str(folder / "no.env"),
        "MONGODB_URI": mongodb_uri,
        "MONGODB_DATABASE": DATABASE,
        "S3_BUCKET": service.bucket,
        "AWS_ENDPOINT_URL_S3": service.endpoint,
        "AWS_ACCESS_KEY_ID": service.access_key_id,
        "AWS_SECRET_ACCESS_KEY": service.secret_access_key,
        "AWS_DEFAULT_REGION": service.region,
    }
    process = start(service)
    try:
        with _environment(variables):
            yield
    finally:
        process.stop()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    for name in _STRANGE:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
