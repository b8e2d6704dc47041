"""The video of a report, drawn by a process of its own: a graphics driver that crashes takes nothing with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from agents.connections import ROOT
from agents.evaluator import Stopped
from agents.stopping import SUPERVISED

_LOOK_EVERY_S = 0.1
_GRACE_S = 20.0


class NoVideo(RuntimeError):
    """It could not be drawn here. Says why, in one line."""


def film(run: str, version: int, seed: int, path: Path, stop: Callable[[], bool]) -> None:
    """Writes a video of that version's episode, as `python -m agents watch` does. The services must be up.

    Raises: NoVideo; Stopped.
    """
    which = ("--run", run, "--version", str(version), "--seed", str(seed), "--video", str(path))
    # A session of its own: Ctrl-C in the terminal reaches this process alone, which ends the other.
    with subprocess.Popen(
        [sys.executable, "-m", "agents", "watch", *which],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {SUPERVISED: str(os.getpid())},
        start_new_session=True,
    ) as child:
        try:
            said = _wait(child, stop)
        finally:
            child.kill()
    if child.returncode < 0:
        raise NoVideo(f"the process that draws it was ended by signal {-child.returncode}; a broken graphics driver?")
    if child.returncode != 0 or not path.is_file():
        lines = said.strip().splitlines()
        if not lines:
            raise NoVideo(f"the process that draws it ended with status {child.returncode}")
        raise NoVideo(lines[-1].removeprefix("watch: "))


def _wait(child: subprocess.Popen[str], stop: Callable[[], bool]) -> str:
    """What it said on stderr until its end. Raises: Stopped."""
    while not stop():
        try:
            return child.communicate(timeout=_LOOK_EVERY_S)[1]
        except subprocess.TimeoutExpired:
            continue
    child.terminate()
    until_s = time.monotonic() + _GRACE_S
    while child.poll() is None and time.monotonic() < until_s:
        time.sleep(_LOOK_EVERY_S)
    raise Stopped("stopped while the video was drawn")
