"""How many control steps a second one worker process stores on one core, by the bodies that it moves."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from agents.build import create_run
from agents.config import RunConfig, data_dir
from agents.networks import DEFAULT_HIDDEN
from agents.replay.contract import Replay
from infra.bench.machine import machine
from infra.bench.replay.store import Store, bench_store
from infra.bench.worker.process import Job

log = logging.getLogger(__name__)

PEER = "1 body"
_WARM_UP_S = 2.0
_LONGEST_START_S = 120.0
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured. The defaults are the whole benchmark."""

    bodies: tuple[int, ...] = (1, 8, 16, 32, 64)
    """The first is the peer of all."""
    rounds: int = 3
    """Of which the medians count."""
    turn_s: float = 10.0
    warm_up_s: float = _WARM_UP_S


QUICK = Sizes(rounds=1, turn_s=4.0)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one process did in a stretch of time."""

    steps: int
    """Control steps that became durable."""
    episodes: int
    seconds: float
    cpu_s: float
    """Processor time of the process, all threads."""


def worker(quick: bool = False) -> dict[str, Any]:
    """The benchmark, on the server that `.env` names. Raises: ConnectionsMissing, ReplayUnavailable."""
    sizes = QUICK if quick else Sizes()
    with bench_store() as store:
        turns = measure(store, sizes)
        server = store.server()
    hidden = "-".join(map(str, DEFAULT_HIDDEN))
    return {
        "bench": "worker",
        "about": (
            "Control steps that one worker process has stored durably, in a second, on one core (the database has the "
            f"others); a fresh {hidden} policy acts with Ornstein-Uhlenbeck noise. Medians of {sizes.rounds}."
        ),
        "machine": machine("numpy", "pymongo", "torch") | {"mongod": server},
        "rows": rows(turns),
    }


def rows(turns: dict[int, list[Turn]]) -> list[dict[str, Any]]:
    """One line for each number of bodies, the first of which the others are compared with."""
    rates = {bodies: float(np.median([turn.steps / turn.seconds for turn in of])) for bodies, of in turns.items()}
    peer = next(iter(rates.values()))
    return [
        {
            "name": f"{bodies} bodies" if bodies > 1 else PEER,
            "value": rates[bodies],
            "unit": "control steps/s",
            "peer": PEER,
            "peer_value": peer,
            "ratio": rates[bodies] / peer,
            "slowest": min(turn.steps / turn.seconds for turn in of),
            "cpu_us_per_step": float(np.median([1e6 * turn.cpu_s / turn.steps for turn in of])),
            "core_had_percent": float(np.median([100.0 * turn.cpu_s / turn.seconds for turn in of])),
            "episodes_per_s": float(np.median([turn.episodes / turn.seconds for turn in of])),
        }
        for bodies, of in turns.items()
    ]


def measure(store: Store, sizes: Sizes) -> dict[int, list[Turn]]:
    """Turns by number of bodies, every round in the other direction: nobody always follows the same neighbour."""
    turns: dict[int, list[Turn]] = {bodies: [] for bodies in sizes.bodies}
    replay = store.open()
    try:
        for number in range(sizes.rounds):
            for bodies in sizes.bodies if number % 2 == 0 else sizes.bodies[::-1]:
                name = f"bodies-{bodies}-{number}"
                create_run(name, RunConfig.of({"rollout": {"bodies": bodies}}), replay)
                with _working(store, name) as process:
                    turns[bodies].append(_turn(replay, name, process, sizes))
                log.info("%d bodies: %.0f steps/s", bodies, turns[bodies][-1].steps / turns[bodies][-1].seconds)
    finally:
        replay.close()
    return turns


def _turn(replay: Replay, run: str, process: subprocess.Popen[str], sizes: Sizes) -> Turn:
    ends_s = time.monotonic() + _LONGEST_START_S
    while replay.counts(run).episodes == 0:
        if process.poll() is not None or time.monotonic() > ends_s:
            raise RuntimeError(f"the worker of {run} stored nothing in {_LONGEST_START_S:g} s, or died; see its words")
        time.sleep(0.05)
    time.sleep(sizes.warm_up_s)
    before, cpu_s, started_s = replay.counts(run), _cpu_s(process), time.monotonic()
    time.sleep(sizes.turn_s)
    after, cpu_s, seconds = replay.counts(run), _cpu_s(process) - cpu_s, time.monotonic() - started_s
    episodes = after.episodes - before.episodes
    # Every episode has a reset state too, which nobody stepped to.
    return Turn(after.timesteps - before.timesteps - episodes, episodes, seconds, cpu_s)


def _cpu_s(process: subprocess.Popen[str]) -> float:
    spent = psutil.Process(process.pid).cpu_times()
    return float(spent.user + spent.system)


@contextmanager
def _working(store: Store, run: str) -> Iterator[subprocess.Popen[str]]:
    """A worker of the run at work, with its spools where real ones lie."""
    data_dir().mkdir(parents=True, exist_ok=True)
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    with tempfile.TemporaryDirectory(prefix="bench-worker-", dir=data_dir()) as folder:
        job = Job(store.uri, store.database, run, str(Path(folder).resolve()), core)
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.bench.worker.process"],
            stdin=subprocess.PIPE,
            text=True,
            env=os.environ | _ONE_THREAD,
            cwd=Path(__file__).resolve().parents[3],
        )
        try:
            assert process.stdin is not None
            with process.stdin as stdin:
                json.dump(asdict(job), stdin)
            yield process
        finally:
            process.terminate()
            process.wait()
