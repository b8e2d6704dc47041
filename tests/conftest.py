"""Real servers for tests, started when the first test asks for one and stopped at the end of the session."""

from __future__ import annotations

import os
import secrets
import shutil
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from pymongo import MongoClient

from agents.replay.mongo import MongoReplay
from infra.services.mongod import Mongod
from infra.services.ports import pick_free_port
from infra.services.process import start
from infra.services.s3 import S3Server

_OURS = ("MONGODB_", "MONGOD_", "S3_", "AWS_", "DATA_DIR", "LOCAL_SERVICES", "ENV_FILE", "PROSTHETICS_")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the developer reaches a test, and none of a test reaches the next one."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(_OURS):
            del os.environ[name]
    # A file that does not exist: neither the test nor its child processes read the developer's .env.
    os.environ["ENV_FILE"] = str(tmp_path_factory.getbasetemp() / "no.env")
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def _mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    folder = tmp_path_factory.mktemp("mongod")
    service = Mongod(
        port=pick_free_port(),
        user="tester",
        password=secrets.token_urlsafe(24),
        folder=folder / "data",
        key_file=folder / "mongod.key",
        log=folder / "mongod.log",
        cache_gb=0.25,
    )
    process = start(service)
    yield service
    process.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def mongodb_uri(_mongod: Mongod) -> str:
    """URI of a real mongod with a user who may do everything."""
    return (
        f"mongodb://{_mongod.user}:{_mongod.password}@127.0.0.1:{_mongod.port}/?authSource=admin&directConnection=true"
    )


@pytest.fixture
def database_name(mongodb_uri: str) -> Iterator[str]:
    """Name of an empty database, dropped after the test."""
    name = f"test_{uuid.uuid4().hex}"
    yield name
    client: MongoClient[dict[str, Any]]
    with MongoClient(mongodb_uri) as client:
        client.drop_database(name)


@pytest.fixture(scope="session")
def _s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    folder: Path = tmp_path_factory.mktemp("s3")
    service = S3Server(
        port=pick_free_port(),
        bucket="first-bucket",
        access_key_id=f"tester{secrets.token_hex(8)}",
        secret_access_key=secrets.token_urlsafe(30),
        region="us-east-1",
        folder=folder / "data",
        log=folder / "s3.log",
    )
    process = start(service)
    yield service
    process.stop()
    shutil.rmtree(folder)


@pytest.fixture
def s3_environment(_s3_server: S3Server, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Points boto3's variables at a real S3 server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", _s3_server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", _s3_server.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", _s3_server.secret_access_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", _s3_server.region)
    return _s3_server


@pytest.fixture
def s3_bucket(s3_environment: S3Server) -> Iterator[str]:
    """Name of an empty bucket; `s3_environment` is set."""
    name = f"test-{uuid.uuid4().hex}"
    client = boto3.session.Session().client("s3")
    client.create_bucket(Bucket=name)
    client.close()
    yield name
    shutil.rmtree(s3_environment.folder / name, ignore_errors=True)


@pytest.fixture
def real_log(
    mongodb_uri: str, database_name: str, s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MongoReplay]:
    """The log in real servers that the environment names to commands and child processes; local data is the test's."""
    monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("MONGODB_DATABASE", database_name)
    monkeypatch.setenv("S3_BUCKET", s3_bucket)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    with closing(MongoReplay(mongodb_uri, database_name)) as log:
        yield log
