"""Processes on this machine: started, watched, restarted when they die, stopped in the end."""

from __future__ import annotations

import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agents.stopping import SUPERVISED

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to run."""

    name: str
    arguments: Sequence[str]
    """Of `python`."""
    restart: bool = True
    """Start it again when it dies; a process that ends by itself with status 0 is done."""
    nice: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How the fleet treats processes that die or hang."""

    first_pause_s: float = 1.0
    """Before a dead process starts again; doubles at every death in a row …"""
    longest_pause_s: float = 30.0
    """… up to this."""
    calm_s: float = 60.0
    """A process that lived this long starts again with the first pause."""
    silent_s: float = 180.0
    """A process whose status file is older hangs, and is killed. OpenSim steps take milliseconds, seconds at worst."""


@dataclass
class Child:
    """One of the processes, in its present life."""

    spec: ProcessSpec
    process: subprocess.Popen[bytes]
    started_s: float
    pause_s: float
    """Before the next restart."""
    restarts: int = 0
    stopped: bool = False
    """It was asked to stop, so it is not started again."""
    due_s: float | None = None
    """When to start it again; None while it runs or is done."""
    peak_memory_mb: float = 0.0
    exits: list[int] = field(default_factory=list)
    _dead_s: float = 0.0
    """Processor time of the lives that are over."""

    @property
    def alive(self) -> bool:
        return not self._over(lambda: self.process.poll())

    @property
    def processor_s(self) -> float:
        """Processor time (user and system, all threads) of all its lives, and of what they started and waited for."""
        return processor_s(self.process.pid) + self._dead_s if self.alive else self._dead_s

    def terminate(self) -> None:
        """Asks it to stop."""
        self._over(self.process.terminate)

    def kill(self) -> None:
        """Ends it at once."""
        # Counted like a wait: before a signal is sent, `Popen` looks whether the process is over, and reaps it then.
        self._over(self.process.kill)

    def over_within(self, seconds: float | None) -> bool:
        """Waits so long for its end, for ever with None, and says whether it came."""
        return self._over(lambda: self.process.wait(seconds))

    def _over(self, look: Callable[[], object]) -> bool:
        if self.process.returncode is None:
            before_s = _waited_for_s()
            try:
                look()
            except subprocess.TimeoutExpired:
                return False
            finally:
                # The system puts what a process has used on its parent's account in the moment it is waited for.
                if self.process.returncode is not None:
                    self._dead_s += _waited_for_s() - before_s
        return self.process.returncode is not None

    def again(self, process: subprocess.Popen[bytes], now_s: float) -> None:
        """Its next life; the last one is over."""
        self.process, self.started_s, self.due_s = process, now_s, None
        self.restarts += 1

    @property
    def done(self) -> bool:
        return not self.alive and self.due_s is None


class LocalFleet:
    """The children of this process. `tend` must be called about once a second."""

    def __init__(self, folder: Path, environment: Mapping[str, str], patience: Patience | None = None) -> None:
        """Logs go to `folder/logs/<process>.log`."""
        self._logs = folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._status = folder / "status"
        self._environment = dict(environment) | {SUPERVISED: str(os.getpid())}
        self._patience = patience or Patience()
        self.children: dict[str, Child] = {}

    def start(self, spec: ProcessSpec) -> None:
        """Starts a process; its name must be new."""
        if spec.name in self.children:
            raise ValueError(f"process {spec.name!r} runs already")
        self.children[spec.name] = Child(spec, self._spawn(spec), time.monotonic(), self._patience.first_pause_s)

    def tend(self, undisturbed_s: float) -> None:
        """Notes memory peaks, kills what hangs, and starts dead processes again, with growing pauses.

        `undisturbed_s`: for how long the services have answered without a gap. A process that waits for a database is
        silent too, but it keeps timesteps, so silence only counts from then on.
        """
        now_s = time.monotonic()
        for child in self.children.values():
            if child.alive:
                child.peak_memory_mb = max(child.peak_memory_mb, peak_memory_mb(child.process.pid))
                self._kill_if_silent(child, now_s, undisturbed_s)
            elif child.due_s is not None:
                if now_s >= child.due_s:
                    child.again(self._spawn(child.spec), now_s)
            elif child.spec.restart and not child.stopped and child.process.returncode != 0:
                self._schedule(child, now_s)

    def stop(self, names: Sequence[str] | None = None, *, grace_s: float = 30.0) -> list[str]:
        """Asks processes (all by default) to stop and waits; returns those that had to be killed."""
        stopping = [child for name, child in self.children.items() if names is None or name in names]
        for child in stopping:
            child.due_s, child.stopped = None, True
            if child.alive:
                child.peak_memory_mb = max(child.peak_memory_mb, peak_memory_mb(child.process.pid))
                child.terminate()
        deadline_s = time.monotonic() + grace_s
        killed = []
        for child in stopping:
            if not child.over_within(max(0.0, deadline_s - time.monotonic())):
                log.warning("%s did not stop within %g s and is killed", child.spec.name, grace_s)
                child.kill()
                child.over_within(None)
                killed.append(child.spec.name)
        return killed

    def last_words(self, name: str, lines: int = 3) -> str:
        """The end of a process's log."""
        path = self._logs / f"{name}.log"
        return " | ".join(path.read_text(errors="replace").strip().splitlines()[-lines:]) if path.exists() else ""

    def _spawn(self, spec: ProcessSpec) -> subprocess.Popen[bytes]:
        (self._status / f"{spec.name}.json").unlink(missing_ok=True)
        # A session of its own: Ctrl-C in the terminal reaches only us, and we stop the children in order.
        with (self._logs / f"{spec.name}.log").open("ab") as output:
            return subprocess.Popen(
                ["nice", "-n", str(spec.nice), sys.executable, *spec.arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
                cwd=Path(__file__).resolve().parent.parent.parent,
            )

    def _schedule(self, child: Child, now_s: float) -> None:
        if now_s - child.started_s > self._patience.calm_s:
            child.pause_s = self._patience.first_pause_s
        child.exits.append(child.process.returncode)
        child.due_s = now_s + child.pause_s
        name, status, pause_s = child.spec.name, child.process.returncode, child.pause_s
        log.warning("%s ended with status %d, next try in %g s: %s", name, status, pause_s, self.last_words(name))
        child.pause_s = min(2 * child.pause_s, self._patience.longest_pause_s)

    def _kill_if_silent(self, child: Child, now_s: float, undisturbed_s: float) -> None:
        path = self._status / f"{child.spec.name}.json"
        lived_s = now_s - child.started_s
        silent_s = time.time() - path.stat().st_mtime if path.exists() else lived_s
        if min(silent_s, lived_s, undisturbed_s) > self._patience.silent_s:
            log.warning("%s said nothing for %.0f s and is killed", child.spec.name, silent_s)
            child.kill()


def peak_memory_mb(pid: int) -> float:
    """The most memory (MiB) the process has held at once, as the kernel counts it; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    peaks = [line.split()[1] for line in text.splitlines() if line.startswith("VmHWM:")]
    return int(peaks[0]) / 1024 if peaks else 0.0


def processor_s(pid: int) -> float:
    """Processor time (s) that a process, and those that it started and waited for, have used; 0 when it is gone.

    In ticks of 10 ms, as proc(5) tells it.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # The second field, the name in brackets, may hold blanks; utime, stime, cutime and cstime are the 14th to 17th.
    ticks = text.rpartition(")")[2].split()[11:15]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _waited_for_s() -> float:
    """Processor time of all processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
