"""The two local servers, really started: who gets in, what survives, and what they say when they can not start."""

from __future__ import annotations

import dataclasses
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from infra.services.binaries import find_mongod, find_program, find_rclone
from infra.services.contract import Service, ServiceFailed
from infra.services.mongod import Mongod
from infra.services.mongod_log import why_it_ended
from infra.services.ports import pick_free_port
from infra.services.process import ServiceProcess, start
from infra.services.s3 import S3Server

Start = Callable[[Service], ServiceProcess]


def mongod_in(folder: Path) -> Mongod:
    return Mongod(
        port=pick_free_port(),
        user="owner",
        password=secrets.token_urlsafe(20),
        folder=folder / "data",
        key_file=folder / "mongod.key",
        log=folder / "mongod.log",
        cache_gb=0.25,
        patience_s=5.0,
    )


def s3_in(folder: Path) -> S3Server:
    return S3Server(
        port=pick_free_port(),
        bucket="some-bucket",
        access_key_id=f"test{secrets.token_hex(8)}",
        secret_access_key=secrets.token_urlsafe(20),
        region="us-east-1",
        folder=folder / "data",
        log=folder / "s3.log",
        patience_s=0.2,
    )


def client_of(service: Mongod, **other: Any) -> MongoClient[dict[str, Any]]:
    options: dict[str, Any] = {"username": service.user, "password": service.password} | other
    return MongoClient("127.0.0.1", service.port, directConnection=True, serverSelectionTimeoutMS=30_000, **options)


def s3_client(service: S3Server, secret: str | None = None) -> Any:
    return boto3.session.Session().client(
        "s3",
        endpoint_url=service.endpoint,
        aws_access_key_id=service.access_key_id,
        aws_secret_access_key=secret or service.secret_access_key,
        region_name=service.region,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def is_gone(pid: int, within_s: float = 60.0) -> bool:
    """Whether the process ends in time; a dead one that nobody waited for counts as ended."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def starting() -> Iterator[Start]:
    """Starts services that end with the test."""
    started: list[ServiceProcess] = []

    def start_it(service: Service) -> ServiceProcess:
        started.append(start(service))
        return started[-1]

    yield start_it
    for process in started:
        process.stop()


def kill(process: ServiceProcess) -> None:
    os.kill(process.pid, signal.SIGKILL)
    assert is_gone(process.pid)


@pytest.mark.mongo
def test_mongod_lets_in_only_who_has_the_password(tmp_path: Path, starting: Start) -> None:
    service = mongod_in(tmp_path)
    process = starting(service)
    with client_of(service) as own:
        own["data"]["things"].insert_one({"_id": 1})
    with client_of(service, username=None, password=None) as stranger:
        with pytest.raises(OperationFailure, match="requires authentication"):
            stranger["data"]["things"].find_one()
        with pytest.raises(OperationFailure, match="requires authentication"):
            stranger["admin"].command("createUser", "intruder", pwd="x", roles=["root"])
    with client_of(service, password="wrong") as guessing, pytest.raises(OperationFailure, match="Authentication"):
        guessing["data"]["things"].find_one()
    arguments = Path(f"/proc/{process.pid}/cmdline").read_text()
    assert service.password not in arguments
    assert service.password not in service.log.read_text()
    assert service.password not in repr(service)


@pytest.mark.mongo
def test_no_first_user_can_be_made_by_a_stranger(tmp_path: Path) -> None:
    """Between the start and the set-up nothing is open."""
    service = mongod_in(tmp_path)
    process = ServiceProcess(service)
    try:
        with client_of(service, username=None, password=None) as stranger:
            with pytest.raises(OperationFailure, match="requires authentication"):
                stranger["admin"].command("createUser", "intruder", pwd="x", roles=["root"])
            with pytest.raises(OperationFailure, match="requires authentication"):
                stranger["admin"].command("replSetInitiate")
    finally:
        process.stop()


@pytest.mark.mongo
def test_what_was_written_survives_a_kill(tmp_path: Path, starting: Start) -> None:
    service = mongod_in(tmp_path)
    process = starting(service)
    with client_of(service, w="majority", journal=True) as client:
        client["data"]["things"].insert_many([{"_id": number} for number in range(1000)])
        kill(process)
        starting(service)
        assert client["data"]["things"].count_documents({}) == 1000


class DyingMongod(Mongod):
    """Is killed when the set-up comes to a step."""

    dies_at = ""

    def _join(self, system: MongoClient[dict[str, Any]]) -> None:
        self._perhaps_die("join", system)
        super()._join(system)

    def _make_user(self, system: MongoClient[dict[str, Any]]) -> None:
        self._perhaps_die("user", system)
        super()._make_user(system)

    def _perhaps_die(self, step: str, system: MongoClient[dict[str, Any]]) -> None:
        if self.dies_at == step:
            os.kill(system.admin.command("serverStatus")["pid"], signal.SIGKILL)


@pytest.mark.mongo
@pytest.mark.parametrize("step", ["join", "user"])
def test_a_set_up_that_died_half_way_is_finished_by_the_next_start(tmp_path: Path, starting: Start, step: str) -> None:
    service = mongod_in(tmp_path)
    facts = {field.name: getattr(service, field.name) for field in dataclasses.fields(service)}
    dying = type("Dying", (DyingMongod,), {"dies_at": step})(**facts)
    with pytest.raises((ServiceFailed, PyMongoError)):
        start(dying)
    starting(service)
    with client_of(service) as client:
        client["data"]["things"].insert_one({"_id": 1})


@pytest.mark.mongo
def test_a_new_port_password_and_place_keep_the_data(tmp_path: Path, starting: Start) -> None:
    service = mongod_in(tmp_path / "old")
    process = starting(service)
    with client_of(service) as client:
        client["data"]["things"].insert_one({"_id": 1})
    assert process.stop()
    (tmp_path / "old").rename(tmp_path / "new")
    moved = mongod_in(tmp_path / "new")
    starting(moved)
    with client_of(moved) as client:
        assert client["data"]["things"].count_documents({}) == 1
        client["data"]["things"].insert_one({"_id": 2})
        assert client.admin.command("hello")["me"] == f"127.0.0.1:{moved.port}"
    with client_of(moved, password=service.password) as client, pytest.raises(OperationFailure):
        client["data"]["things"].find_one()


@pytest.mark.mongo
def test_a_second_mongod_on_the_same_data_is_refused_by_name(tmp_path: Path, starting: Start) -> None:
    service = mongod_in(tmp_path)
    process = starting(service)
    second = dataclasses.replace(service, port=pick_free_port(), patience_s=0.2)
    with pytest.raises(ServiceFailed, match=rf"another mongod \(process {process.pid}\) uses .*DATA_DIR"):
        start(second)


@pytest.mark.parametrize(("make", "setting"), [(mongod_in, "MONGODB_URI"), (s3_in, "AWS_ENDPOINT_URL_S3")])
def test_a_taken_port_is_named_with_its_setting(
    tmp_path: Path, make: Callable[[Path], Any], setting: str, capfd: pytest.CaptureFixture[str]
) -> None:
    service = dataclasses.replace(make(tmp_path), patience_s=0.2)
    with (
        socket.create_server(("127.0.0.1", service.port)),
        pytest.raises(ServiceFailed, match=rf"{service.port}.*another program.*{setting}"),
    ):
        start(service)
    assert capfd.readouterr() == ("", "")


@pytest.mark.mongo
def test_damaged_data_are_reported_in_one_sentence(
    tmp_path: Path, starting: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    service = mongod_in(tmp_path)
    starting(service).stop()
    (service.folder / "storage.bson").write_text("not a database")
    with pytest.raises(ServiceFailed, match="mongod ended: ") as caught:
        start(service)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"s":"E","c":"CONTROL","msg":"Failed","attr":{"error":"No space left on device"}}', "is full"),
        (
            '{"s":"E","c":"CONTROL","msg":"x","attr":{"error":"Location4926900: Wrong mongod version"}}',
            "another version",
        ),
        ('{"s":"E","c":"CONTROL","msg":"x","attr":{"error":"Address already in use"}}', "port 7 is taken.*SETTING"),
        ('{"s":"F","c":"-","msg":"Error","attr":{"error":{"code":2,"errmsg":"too small"}}}', "Error: too small"),
        ('{"s":"E","c":"COMMAND","msg":"a client was refused"}', "left no reason"),
        ("mongod: libssl.so.3: cannot open shared object file", "libssl.so.3"),
        ("", "left no reason"),
    ],
)
def test_the_log_tells_why_mongod_ended(tmp_path: Path, line: str, words: str) -> None:
    log = tmp_path / "log"
    former = '{"s":"E","c":"CONTROL","msg":"of a former life","attr":{"error":"No space left on device"}}'
    log.write_text(f'{former}\n{{"s":"I","msg":"***** SERVER RESTARTED *****"}}\n{line}\n')
    sentence = why_it_ended(log, tmp_path, 7, "SETTING")
    assert re.search(words, sentence), sentence


@pytest.mark.s3
def test_s3_lets_in_only_who_signs(tmp_path: Path, starting: Start) -> None:
    service = s3_in(tmp_path)
    process = starting(service)
    own = s3_client(service)
    own.put_object(Bucket=service.bucket, Key="folder/key", Body=b"content")
    assert own.get_object(Bucket=service.bucket, Key="folder/key")["Body"].read() == b"content"
    for path in ("", service.bucket, f"{service.bucket}/folder/key"):
        with pytest.raises(HTTPError) as refused:
            urlopen(f"{service.endpoint}/{path}")
        assert 400 <= refused.value.code < 500
        refused.value.close()
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3_client(service, "wrong").get_object(Bucket=service.bucket, Key="folder/key")
    assert service.secret_access_key not in Path(f"/proc/{process.pid}/cmdline").read_text()
    assert service.secret_access_key not in service.log.read_text() + repr(service)


@pytest.mark.s3
def test_objects_survive_a_kill(tmp_path: Path, starting: Start) -> None:
    service = s3_in(tmp_path)
    process = starting(service)
    s3_client(service).put_object(Bucket=service.bucket, Key="key", Body=b"content")
    kill(process)
    starting(service)
    assert s3_client(service).get_object(Bucket=service.bucket, Key="key")["Body"].read() == b"content"


@pytest.mark.s3
def test_a_bucket_name_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ServiceFailed, match=r"'x'.*S3_BUCKET"):
        start(dataclasses.replace(s3_in(tmp_path), bucket="x"))


@pytest.mark.s3
def test_servers_listen_on_loopback_only(tmp_path: Path, starting: Start) -> None:
    service = s3_in(tmp_path)
    starting(service)
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if " 0A " in line]
    assert [place for place in listening if place.endswith(f":{service.port:04X}")] == [f"0100007F:{service.port:04X}"]
    everywhere = Path("/proc/net/tcp6").read_text() if Path("/proc/net/tcp6").exists() else ""
    assert f":{service.port:04X} 0000" not in everywhere


def test_a_child_ends_with_a_killed_parent(tmp_path: Path) -> None:
    tether = Path("infra/services/tether.py").resolve()
    parent = (
        "import os, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, {str(tether)!r}, str(os.getpid()), '/bin/sleep', '600'])\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        time.sleep(0.3)
        assert not is_gone(child, within_s=0.1)
        process.kill()
        assert is_gone(child)


def test_servers_are_found_without_a_path() -> None:
    assert find_mongod(path="/nonexistent").name == "mongod"
    assert find_rclone(path="/nonexistent").name == "rclone"


def test_a_server_on_the_path_is_preferred(tmp_path: Path) -> None:
    program = tmp_path / "mongod"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_mongod(path=str(tmp_path)) == program


def test_a_program_that_is_nowhere_is_not_made_up(tmp_path: Path) -> None:
    assert find_program("mongod", "no-such-wheel", str(tmp_path)) is None
