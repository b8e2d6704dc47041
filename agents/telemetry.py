"""What a process tells about itself: a status file for whoever supervises it, scalars for TensorBoard, a log."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger("prosthetics")

_BEAT_EVERY_S = 5.0


class Telemetry:
    """One process's voice. The status file is replaced as a whole, so a reader never sees half of one."""

    def __init__(self, folder: Path, process: str, *, scalars: bool = True) -> None:
        """Writes `folder/status/<process>.json` and, with `scalars`, `folder/tensorboard/<process>/`."""
        self.process = process
        self._status = folder / "status" / f"{process}.json"
        self._status.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._facts: dict[str, Any] = {"process": process, "pid": os.getpid(), "started": time.time()}
        self._writer = SummaryWriter(str(folder / "tensorboard" / process), flush_secs=10) if scalars else None
        self.status()

    def status(self, **facts: Any) -> None:
        """Adds or replaces facts in the status file; `updated` says that the process is alive."""
        with self._lock:  # the learner's publisher speaks from a thread of its own
            self._facts |= facts | {"updated": time.time()}
            staged = self._status.with_suffix(f".{os.getpid()}")
            staged.write_text(json.dumps(self._facts))
            staged.replace(self._status)

    def beat(self) -> None:
        """Says that the process is alive, in the middle of something long. Cheap enough to call at every step."""
        if time.time() - self._facts["updated"] >= _BEAT_EVERY_S:
            self.status()

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Adds points to TensorBoard's curves, e.g. `{"learner/critic_loss": 0.3}` at a count of updates."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def close(self, *, well: bool = True) -> None:
        """Writes out what TensorBoard still holds, and says so if the process ended `well`."""
        if well:
            self.status(ended=time.time())
        if self._writer is not None:
            self._writer.close()


def read_statuses(folder: Path) -> dict[str, dict[str, Any]]:
    """The status of every process that wrote one under `folder`, by process name."""
    found = sorted((folder / "status").glob("*.json"))
    return {path.stem: json.loads(path.read_text()) for path in found}


def set_up_logging(level: int = logging.INFO) -> None:
    """One line per message on stderr, with the time and the process."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    for noisy in ("botocore", "boto3", "urllib3", "pymongo", "s3transfer"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
