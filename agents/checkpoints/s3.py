"""Checkpoints in an S3 bucket: the same code for a local endpoint and AWS. The only importer of boto3 among agents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from mmap import mmap
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as NoConnectionError

from agents.checkpoints.contract import CheckpointCorrupt, CheckpointStoreUnavailable
from agents.checkpoints.objects import Objects, StoredObject
from agents.checkpoints.store import VersionedCheckpoints

_CONNECT_TIMEOUT_S = 2.0
_READ_TIMEOUT_S = 10.0
"""Of silence, not of the whole transfer."""
_ATTEMPTS = 3
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ABSENT = frozenset(("NoSuchKey", "404"))


class S3Checkpoints(VersionedCheckpoints):
    """Implements `CheckpointStore`. Credentials and region come from boto3's usual places, never from arguments.

    Args:
        bucket: need not exist yet, see `ensure_bucket`.
        endpoint: URL of an S3 server; default: `AWS_ENDPOINT_URL_S3`, and AWS when that is unset too.
        prefix: of every key.
    """

    def __init__(self, bucket: str, endpoint: str | None = None, prefix: str = "runs") -> None:
        self._bucket = S3Objects(bucket, endpoint)
        super().__init__(self._bucket, prefix)

    def ensure_bucket(self) -> None:
        """Creates the bucket if it is missing, closed to the public. One that exists is left as it is.

        Raises: CheckpointStoreUnavailable.
        """
        self._bucket.ensure()


class S3Objects(Objects):
    """Objects in one bucket."""

    def __init__(self, bucket: str, endpoint: str | None = None) -> None:
        if not _BUCKET.fullmatch(bucket):
            raise ValueError(
                f"found bucket name {bucket!r}, needed 3 to 63 lower-case letters, digits, '-' or '.'; "
                "is S3_BUCKET right?"
            )
        self._bucket = bucket
        self._s3 = _client(endpoint)
        server = urlsplit(self._s3.meta.endpoint_url)
        self._host = server.hostname or ""
        # Without what may stand before an @ in the URL: that would be a password.
        self._server = self._host if server.port is None else f"{self._host}:{server.port}"

    def put(self, key: str, data: bytes | mmap) -> None:
        kind = "application/json" if key.endswith(".json") else "application/octet-stream"
        with self._plain_errors(f"writing {key}"):
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=kind)

    def get(self, key: str) -> StoredObject | None:
        with self._plain_errors(f"reading {key}"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=key)
                # `with answer["Body"]` would hand out the raw stream, past the checksum.
                with closing(answer["Body"]):
                    return StoredObject(answer["Body"].read(), str(answer["ETag"]))
            except FlexibleChecksumError as error:
                raise CheckpointCorrupt(
                    f"{key} is corrupt: the bytes that arrived do not match the server's checksum; it was not used"
                ) from error
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                raise

    def etag(self, key: str) -> str | None:
        with self._plain_errors(f"looking at {key}"):
            try:
                return str(self._s3.head_object(Bucket=self._bucket, Key=key)["ETag"])
            except ClientError:
                # Such an answer has no body, so it can not say whether the object or the bucket is missing, and why it
                # was refused. The one to a GET can.
                stored = self.get(key)
                return None if stored is None else stored.etag

    def folders(self, prefix: str) -> Sequence[str]:
        # Folders only: listing objects makes some servers read every byte below for the ETags.
        names: list[str] = []
        with self._plain_errors(f"listing {prefix}"):
            pages = self._s3.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/"):
                names += [folder["Prefix"] for folder in page.get("CommonPrefixes", ())]
        return sorted(name.removeprefix(prefix).rstrip("/") for name in names)

    def delete(self, key: str) -> None:
        with self._plain_errors(f"deleting {key}"):
            self._s3.delete_object(Bucket=self._bucket, Key=key)

    def ensure(self) -> None:
        """See `S3Checkpoints.ensure_bucket`."""
        with self._plain_errors("looking for the bucket"):
            try:
                self._s3.head_bucket(Bucket=self._bucket)
                return
            except ClientError as error:
                if _code(error) not in _ABSENT:
                    raise
        with self._plain_errors("creating the bucket"):
            self._create()

    def close(self) -> None:
        self._s3.close()

    def _create(self) -> None:
        if not self._host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
            # Other servers take these two requests for something else: rclone creates a bucket on both.
            self._s3.create_bucket(Bucket=self._bucket)
            return
        region = self._s3.meta.region_name
        # AWS refuses its first region as a location: it is what a bucket without one gets.
        place = {} if region in ("us-east-1", "aws-global", None) else {"LocationConstraint": region}
        self._s3.create_bucket(Bucket=self._bucket, **({"CreateBucketConfiguration": place} if place else {}))
        closed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        self._s3.put_public_access_block(
            Bucket=self._bucket, PublicAccessBlockConfiguration=dict.fromkeys(closed, True)
        )

    @contextmanager
    def _plain_errors(self, action: str) -> Iterator[None]:
        """Turns boto3's errors into one sentence. Their own text stays out: it may quote a URL with a password."""
        where = f"bucket {self._bucket!r} at {self._server}"
        try:
            yield
        except ClientError as error:
            raise CheckpointStoreUnavailable(_refusal(_code(error), action, where)) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise CheckpointStoreUnavailable(
                f"{where}: found no complete credentials for {action}; "
                "needed AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role of this machine"
            ) from None
        except (HTTPClientError, NoConnectionError) as error:
            raise CheckpointStoreUnavailable(
                f"{where} can not be reached for {action} ({type(error).__name__}, tried {_ATTEMPTS} times); "
                "is the S3 server running, and is AWS_ENDPOINT_URL_S3 right?"
            ) from None
        except BotoCoreError as error:
            raise CheckpointStoreUnavailable(f"{where}: {action} failed ({type(error).__name__})") from None


def _client(endpoint: str | None) -> Any:
    """boto3 puts the bucket into the host name on AWS, and into the path of any other server."""
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    )
    try:
        # A session of its own: boto3's shared one is not safe between threads.
        client = boto3.session.Session().client("s3", endpoint_url=endpoint, config=config)
    except ValueError:
        raise ValueError(
            "the S3 endpoint is no URL; needed one like http://127.0.0.1:9000, is AWS_ENDPOINT_URL_S3 right?"
        ) from None
    client.meta.events.register("before-parse.s3.GetObject", _without_checksum)
    return client


def _without_checksum(response_dict: dict[str, Any], **_: Any) -> None:
    """An error's body as bytes. A server may send the checksum of an object with the error that it can not be read, as
    while it is replaced; botocore 1.44 then wraps the error's body too, and fails to parse it instead of retrying."""
    if response_dict["status_code"] >= 300 and not isinstance(response_dict["body"], bytes):
        response_dict["body"] = b""


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _refusal(code: str, action: str, where: str) -> str:
    if code == "NoSuchBucket":
        return f"{where} does not exist ({action}); is S3_BUCKET right, and was the bucket created?"
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return (
            f"{where} refuses these credentials for {action} ({code}); "
            "are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY those of this server?"
        )
    if code in ("AccessDenied", "403"):
        return (
            f"{where} denies {action} ({code}): the credentials are wrong or may not do this; "
            "AWS also says so of a missing object to who may not list the bucket"
        )
    if code == "RequestTimeTooSkewed":
        return f"{where} refuses {action} ({code}): the clock of this machine is wrong"
    return f"{where} refuses {action} ({code})"
