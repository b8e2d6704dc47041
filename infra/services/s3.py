"""An S3 server on a folder: rclone. Real requests and real signatures; loopback only."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, HTTPClientError

from infra.services.binaries import find_rclone
from infra.services.contract import HOST, ServiceFailed
from infra.services.folders import last_line, private_folder
from infra.services.ports import wait_until_free

SETTING = "AWS_ENDPOINT_URL_S3 in .env"
_ABSENT = frozenset(("404", "NoSuchBucket"))


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """A `Service`."""

    port: int
    bucket: str
    """Made when it is missing."""
    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str
    folder: Path
    """One folder per bucket, one file per object."""
    log: Path
    start_s: float = 30.0
    """Seconds it may take to serve."""
    patience_s: float = 10.0
    """Seconds that a former life may take to give the port back."""

    @property
    def name(self) -> str:
        return "s3"

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    def prepare(self) -> None:
        private_folder(self.folder)
        wait_until_free(self.port, "the S3 server", SETTING, self.patience_s)

    def command(self) -> Sequence[str]:
        return (str(find_rclone()), "--config", "", "serve", "s3", "--addr", f"{HOST}:{self.port}", str(self.folder))

    def environment(self) -> Mapping[str, str]:
        # A CSV field: the comma between the two parts needs quotes around them.
        key = f"{self.access_key_id},{self.secret_access_key}".replace('"', '""')
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "TZ") if name in os.environ}
        return kept | {"RCLONE_AUTH_KEY": f'"{key}"'}

    def make_ready(self, alive: Callable[[], bool]) -> None:
        client = self._client()
        deadline_s = time.monotonic() + self.start_s
        try:
            while not self._has_bucket(client):
                if not alive():
                    raise ServiceFailed(self.last_words())
                if time.monotonic() > deadline_s:
                    raise ServiceFailed(
                        f"the S3 server did not answer within {self.start_s:g} s; its log is {self.log}"
                    )
                time.sleep(0.05)
        finally:
            client.close()

    def last_words(self) -> str:
        last = last_line(self.log)
        if "address already in use" in last:
            return f"the S3 server ended: port {self.port} is taken; stop that program, or change the port in {SETTING}"
        if "no space left" in last:
            return f"the S3 server ended: the disk of {self.folder} is full; free some space, or change DATA_DIR"
        return f"the S3 server ended; the last line of {self.log} is: {last}"

    def _client(self) -> Any:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            region_name=self.region,
            config=Config(
                connect_timeout=1, read_timeout=10, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
            ),
        )

    def _has_bucket(self, client: Any) -> bool:
        """Makes the bucket if it is missing; False while nothing answers yet."""
        try:
            try:
                client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _ABSENT:
                    raise
                client.create_bucket(Bucket=self.bucket)
        except (EndpointConnectionError, HTTPClientError):
            return False
        except ClientError as error:
            raise ServiceFailed(
                f"the S3 server refuses bucket {self.bucket!r} ({error.response['Error']['Code']}); needed 3 to 63 "
                "lower-case letters, digits and hyphens in S3_BUCKET, and a long AWS_ACCESS_KEY_ID without commas"
            ) from None
        except BotoCoreError as error:
            raise ServiceFailed(
                f"the S3 server can not be asked for bucket {self.bucket!r} ({type(error).__name__}: {error})"
            ) from None
        return True
