"""What the S3 store does when the bucket, the credentials or the server are not as they should be."""

from __future__ import annotations

import base64
import os
import socket
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from agents.checkpoints.contract import CheckpointCorrupt, CheckpointStoreUnavailable
from agents.checkpoints.s3 import S3Checkpoints, S3Objects
from tests.contracts.checkpoint_samples import learner_blob, policy_blob

SECRET = "a-secret-nobody-may-read"


def _operations(store: S3Checkpoints) -> list[Callable[[], object]]:
    return [
        lambda: store.latest("walk"),
        lambda: store.load("walk", "policy"),
        lambda: store.versions("walk"),
        lambda: store.retain("walk", last=1),
        lambda: store.publish("walk", policy_blob(), learner_blob(), {}),
    ]


@contextmanager
def _opened(bucket: str, endpoint: str | None = None) -> Iterator[S3Checkpoints]:
    with closing(S3Checkpoints(bucket, endpoint)) as store:
        yield store


@pytest.fixture
def store(s3_bucket: str) -> Iterator[S3Checkpoints]:
    with _opened(s3_bucket) as store:
        store.publish("walk", policy_blob(), learner_blob(), {"updates": 1})
        yield store


@pytest.fixture
def made_up_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up-key-id-123456")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.mark.s3
def test_a_stranger_without_credentials_gets_nothing(store: S3Checkpoints, s3_bucket: str) -> None:
    config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"})
    with closing(boto3.session.Session().client("s3", config=config)) as stranger:
        requests: list[Callable[[], object]] = [
            lambda: stranger.get_object(Bucket=s3_bucket, Key="runs/walk/latest.json"),
            lambda: stranger.list_objects_v2(Bucket=s3_bucket),
            lambda: stranger.put_object(Bucket=s3_bucket, Key="runs/walk/latest.json", Body=b"{}"),
            lambda: stranger.delete_object(Bucket=s3_bucket, Key="runs/walk/latest.json"),
        ]
        for request in requests:
            with pytest.raises(ClientError) as refused:
                request()
            # AWS says 403; rclone calls a request without a signature one of an unknown algorithm.
            answer = refused.value.response
            status, code = answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]
            assert (status, code) in [(403, "AccessDenied"), (400, "UnsupportedAlgorithm")]
    with _opened(s3_bucket) as reader:
        assert reader.load("walk", "policy")[0].number == 1


@pytest.mark.s3
@pytest.mark.parametrize("wrong", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_refused_without_showing_them(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv(wrong, SECRET)
    with _opened(s3_bucket) as store:
        for operation in _operations(store):
            with pytest.raises(CheckpointStoreUnavailable, match="refuses these credentials") as refused:
                operation()
            assert SECRET not in str(refused.value)
            assert os.environ["AWS_ACCESS_KEY_ID"] not in str(refused.value)
        with pytest.raises(CheckpointStoreUnavailable, match="denies looking for the bucket"):
            store.ensure_bucket()


@pytest.mark.s3
def test_missing_credentials_are_named(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with _opened(s3_bucket) as store, pytest.raises(CheckpointStoreUnavailable, match="needed AWS_ACCESS_KEY_ID and"):
        store.latest("walk")


@pytest.mark.s3
def test_a_missing_bucket_is_not_taken_for_an_empty_run(s3_bucket: str) -> None:
    with _opened(f"{s3_bucket}-not") as store:
        for operation in _operations(store):
            with pytest.raises(CheckpointStoreUnavailable, match=f"bucket '{s3_bucket}-not' .* does not exist"):
                operation()


@pytest.mark.s3
def test_a_reader_notices_that_the_pointer_was_deleted(store: S3Checkpoints, s3_bucket: str) -> None:
    assert store.latest("walk") is not None
    with closing(S3Objects(s3_bucket)) as objects:
        objects.delete("runs/walk/latest.json")

    assert store.latest("walk") is None


@pytest.mark.s3
def test_a_missing_bucket_is_created_once_and_keeps_its_objects(s3_bucket: str) -> None:
    with _opened(f"{s3_bucket}-new") as store:
        store.ensure_bucket()
        published = store.publish("walk", policy_blob(), learner_blob(), {})
        store.ensure_bucket()

        assert store.latest("walk") == published


@pytest.mark.s3
def test_the_endpoint_may_be_an_argument_and_a_host_name(
    store: S3Checkpoints, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = os.environ["AWS_ENDPOINT_URL_S3"]
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")

    with _opened(s3_bucket, endpoint.replace("127.0.0.1", "localhost")) as other:
        assert other.latest("walk") == store.latest("walk")


@pytest.mark.s3
def test_many_threads_may_read_one_store(store: S3Checkpoints) -> None:
    found: list[int] = []

    def read() -> None:
        for _ in range(5):
            found.append(store.load("walk", "policy")[0].number)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [1] * 20


@pytest.mark.usefixtures("made_up_credentials")
def test_a_store_that_is_away_is_asked_three_times_and_reported() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with _opened("some-bucket", f"http://someone:{SECRET}@127.0.0.1:{port}") as store:
            client = store._bucket._s3
            assert client.meta.config.connect_timeout <= 2.0, "one that does not even refuse is given up soon"
            asked: list[str] = []
            client.meta.events.register("before-send.s3", lambda request, **_: asked.append(request.method))
            for operation in (_operations(store)[0], store.ensure_bucket):
                asked.clear()
                with pytest.raises(CheckpointStoreUnavailable, match=f"127.0.0.1:{port} can not be reached") as away:
                    operation()
                assert len(asked) == 3
                assert SECRET not in str(away.value)


@pytest.mark.usefixtures("made_up_credentials")
@pytest.mark.parametrize("bucket", ["", "ab", "Upper", "a/b", "-ab", "a" * 64])
def test_a_bucket_name_that_can_not_be_is_refused(bucket: str) -> None:
    with pytest.raises(ValueError, match=r"is S3_BUCKET right\?"):
        S3Checkpoints(bucket)


@pytest.mark.usefixtures("made_up_credentials")
def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(ValueError, match="the S3 endpoint is no URL"):
        S3Checkpoints("some-bucket", "127.0.0.1:9000")


class _Faulty(BaseHTTPRequestHandler):
    """Denies every HEAD; answers every GET with the same ten bytes, whatever the headers promise."""

    promised: ClassVar[dict[str, str]]
    refusals: ClassVar[list[int]]
    """Statuses of the next answers to GET, before the bytes are given."""

    def do_HEAD(self) -> None:
        self.send_response(403)
        self.end_headers()

    def do_GET(self) -> None:
        status = self.refusals.pop(0) if self.refusals else 200
        self.send_response(status)
        for name, value in {"ETag": '"1"', **self.promised}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"ten bytes!")

    def log_message(self, format: str, *args: Any) -> None:
        """Tests are quiet."""


@contextmanager
def _faulty_server(refusals: Sequence[int] = (), **promised: str) -> Iterator[str]:
    headers = {name.replace("_", "-"): text for name, text in promised.items()}
    handler = type("Handler", (_Faulty,), {"promised": headers, "refusals": list(refusals)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.usefixtures("made_up_credentials")
def test_bytes_damaged_on_the_way_are_refused() -> None:
    with (
        _faulty_server(Content_Length="10", x_amz_checksum_crc32="AAAAAA==") as endpoint,
        closing(S3Objects("some-bucket", endpoint)) as objects,
        pytest.raises(CheckpointCorrupt, match="a/key is corrupt: the bytes that arrived do not match"),
    ):
        objects.get("a/key")


@pytest.mark.usefixtures("made_up_credentials")
def test_an_error_that_carries_the_object_s_checksum_is_retried() -> None:
    """As rclone answers while an object is replaced."""
    checksum = base64.b64encode(zlib.crc32(b"ten bytes!").to_bytes(4, "big")).decode()
    with (
        _faulty_server([500], Content_Length="10", x_amz_checksum_crc32=checksum) as endpoint,
        closing(S3Objects("some-bucket", endpoint)) as objects,
    ):
        found = objects.get("a/key")
    assert found is not None
    assert found.data == b"ten bytes!"


@pytest.mark.usefixtures("made_up_credentials")
def test_a_connection_cut_in_the_middle_of_an_object_is_an_absent_store() -> None:
    with (
        _faulty_server(Content_Length="11") as endpoint,
        closing(S3Objects("some-bucket", endpoint)) as objects,
        pytest.raises(CheckpointStoreUnavailable, match="reading a/key"),
    ):
        objects.get("a/key")


@pytest.mark.usefixtures("made_up_credentials")
def test_an_object_that_may_not_be_looked_at_is_not_taken_for_a_missing_one() -> None:
    """The retention deletes versions whose manifest is missing."""
    with _faulty_server(Content_Length="10") as endpoint, closing(S3Objects("some-bucket", endpoint)) as objects:
        assert objects.etag("a/key") == '"1"'


@pytest.mark.usefixtures("made_up_credentials")
@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://store.example:9000", "http://store.example:9000/some-bucket/a/key?"),
        (None, "https://some-bucket.s3.amazonaws.com/a/key?"),
    ],
)
def test_the_bucket_is_in_the_path_of_a_server_and_in_the_host_name_of_aws(
    monkeypatch: pytest.MonkeyPatch, endpoint: str | None, url: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for how in ("argument", "variable"):
        if endpoint is not None and how == "variable":
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        with closing(S3Objects("some-bucket", endpoint if how == "argument" else None)) as objects:
            found = objects._s3.generate_presigned_url("get_object", Params={"Bucket": "some-bucket", "Key": "a/key"})
        assert found.startswith(url)


@pytest.mark.usefixtures("made_up_credentials")
@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_a_new_bucket_on_aws_is_closed_to_the_public(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    """No AWS is at hand: botocore checks the requests against its description of S3 and answers from a list."""
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    closed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    with closing(S3Objects("some-bucket")) as objects, Stubber(objects._s3) as aws:
        aws.add_client_error("head_bucket", "404", http_status_code=404)
        aws.add_response("create_bucket", {}, {"Bucket": "some-bucket", **place})
        configuration = dict.fromkeys(closed, True)
        aws.add_response(
            "put_public_access_block", {}, {"Bucket": "some-bucket", "PublicAccessBlockConfiguration": configuration}
        )
        objects.ensure()
        aws.assert_no_pending_responses()
