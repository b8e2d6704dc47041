"""The worker processes of a scenario, all lives of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from agents.replay.ids import EPISODE_BITS, STEP_BITS
from infra.faults.content import Content
from infra.faults.marks import Mark, Marks
from infra.faults.worker import Job
from infra.services.folders import last_line

ROOT = Path(__file__).resolve().parents[2]
_TETHER = ROOT / "infra" / "services" / "tether.py"
_LONGEST_S = 240.0
"""What anything here may take before the scenario counts as failed."""


class ScenarioFailed(RuntimeError):
    """Something that should have happened did not; there is nothing to count."""


def wait_until(done: Callable[[], bool], what: str, seconds: float = _LONGEST_S) -> None:
    """Raises: ScenarioFailed when it does not happen in time."""
    deadline_s = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline_s:
            raise ScenarioFailed(f"waited {seconds:g} s in vain until {what}")
        time.sleep(0.02)


def tethered(command: Sequence[str], job: object, log: Path) -> subprocess.Popen[bytes]:
    """A Python process that ends with this one; it finds `job` as JSON on its standard input."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), sys.executable, *command],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            # Ctrl-C is for the scenario, which then ends its processes.
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(json.dumps(job).encode())
    process.stdin.close()
    return process


@dataclass(frozen=True, eq=False)
class Life:
    """One life of a worker."""

    job: Job
    marks: Marks
    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def finish(self) -> None:
        """Waits for its end. Raises: ScenarioFailed when it did not end well."""
        try:
            status = self.process.wait(_LONGEST_S)
        except subprocess.TimeoutExpired:
            raise ScenarioFailed(f"worker {self.job.name} does not end") from None
        if status != 0:
            raise ScenarioFailed(f"worker {self.job.name} ended with status {status}: {last_line(self.log)}")


class Crew:
    """Starts workers and knows what they have handed over."""

    def __init__(self, folder: Path, content: Content, uri: str, database: str, run: str) -> None:
        self._folder, self._content = folder, content
        self._path = content.save(folder)
        self._common: dict[str, Any] = {"uri": uri, "database": database, "run": run, "content": str(self._path)}
        self.lives: list[Life] = []

    def start(self, name: str, *, spool: Path | bool = True, **settings: Any) -> Life:
        """A new worker, with a spool in the scenario's folder, elsewhere, or none."""
        folder = self._folder / "spool" / name if spool is True else spool or None
        job = Job(name=name, marks="", spool=str(folder) if folder else None, **self._common, **settings)
        return self.again(job)

    def again(self, job: Job) -> Life:
        """Another life of a worker."""
        name = f"{job.name}.{len(self.lives)}"
        marks, log = self._folder / f"{name}.marks", self._folder / f"{name}.log"
        job = replace(job, marks=str(marks))
        life = Life(job, Marks(marks), tethered(["-m", "infra.faults.worker"], asdict(job), log), log)
        self.lives.append(life)
        return life

    def stop(self) -> None:
        """Lets all that live end in order: with nothing left to send. Raises: ScenarioFailed."""
        living = [life for life in self.lives if life.process.poll() is None or life.process.returncode >= 0]
        for life in living:
            life.marks[Mark.STOP] = 1
        for life in living:
            life.finish()

    def end(self) -> None:
        """Kills what still lives."""
        for life in self.lives:
            if life.process.poll() is None:
                life.kill()

    def check(self) -> None:
        """Raises: ScenarioFailed when a worker has ended badly by itself."""
        for life in self.lives:
            if (life.process.poll() or 0) > 0:
                life.finish()

    def wait_for(self, timesteps: int, of: Sequence[Life] | None = None) -> None:
        """Until each of these lives has handed over so many timesteps more than now."""
        needed = {life: self.count(life, Mark.HANDED) + timesteps for life in of or self.lives}

        def enough() -> bool:
            self.check()
            return all(self.count(life, Mark.HANDED) >= count for life, count in needed.items())

        wait_until(enough, f"every worker had written {timesteps} timesteps more")

    def count(self, life: Life, mark: Mark) -> int:
        """Timesteps up to a mark."""
        first, episode, step = _place(life.marks[mark])
        return sum(self._content.length(one) + 1 for one in range(first, episode)) + step + 1

    def ids(self, life: Life, mark: Mark) -> list[int]:
        """Of the timesteps up to a mark, ascending."""
        first, episode, step = _place(life.marks[mark])
        ended = [one << STEP_BITS | at for one in range(first, episode) for at in range(self._content.length(one) + 1)]
        return ended + [episode << STEP_BITS | at for at in range(step + 1)]


def _place(newest: int) -> tuple[int, int, int]:
    """The first episode of the life that wrote timestep `newest`, the newest one, and its step; none is step -1."""
    if newest == 0:
        return 0, 0, -1
    episode, step = newest >> STEP_BITS, newest & ((1 << STEP_BITS) - 1)
    return episode >> EPISODE_BITS << EPISODE_BITS, episode, step
