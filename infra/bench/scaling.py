"""What a second core adds: two processes with a batch of bodies each, and one batch moved by two threads."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np

from environment.osim_file import read_model
from environment.physics.models import model_path
from environment.physics.native.engine import Engine
from environment.physics.native.settings import NativeSettings
from environment.timestep import CONTROL_STEP_S

BODIES = 256
"""Of each thread. With few the threads wait for each other: bodies that hit the floor take longer."""
_HELD_STEPS = 4
_WARM_UP_STEPS = 4


def scaling(steps: int, rounds: int) -> list[dict[str, Any]]:
    """Rows: control steps per second of wall time by two processes and by two threads, each beside one alone.

    One and two take turns, round after round, and the medians count: another program on the machine then disturbs both.
    """
    alone, processes, threads = [], [], []
    for _ in range(rounds):
        alone.append(_together(1, steps, threads=1))
        processes.append(_together(2, steps, threads=1))
        threads.append(_together(1, steps, threads=2))
    one = float(np.median(alone))
    return [
        _row("two processes", float(np.median(processes)), "one process", one),
        _row("two threads over one batch", float(np.median(threads)), "one thread", one),
    ]


def _row(name: str, value: float, peer: str, peer_value: float) -> dict[str, Any]:
    return {
        "name": f"native, {BODIES} bodies: {name}",
        "value": value,
        "unit": "control steps/s",
        "peer": peer,
        "peer_value": peer_value,
        "ratio": value / peer_value,
    }


def _together(number: int, steps: int, *, threads: int) -> float:
    """Control steps per second of so many processes that work at the same time."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(number)
    with context.Pool(number, initializer=_keep, initargs=(barrier,)) as pool:
        rates = pool.starmap(_rate, [(steps, threads)] * number, chunksize=1)
    return float(sum(rates))


def _keep(barrier: Barrier) -> None:
    globals()["_barrier"] = barrier


def _rate(steps: int, threads: int) -> float:
    """Control steps per second of wall time, all bodies together."""
    engine = Engine(read_model(model_path("3D_pros")), NativeSettings(), BODIES * threads, threads)
    start = engine.start()
    engine.bodies.y[:] = start
    engine.bodies.step_size_s[:] = engine.settings.first_step_s
    generator = np.random.default_rng(1)
    began = 0.0
    for step in range(_WARM_UP_STEPS + steps):
        if step == _WARM_UP_STEPS:
            barrier: Barrier = globals()["_barrier"]
            barrier.wait()
            began = time.perf_counter()
        if step % _HELD_STEPS == 0:
            engine.bodies.excitation[:] = generator.random(engine.bodies.excitation.shape) < 0.5
        engine.advance(CONTROL_STEP_S)
    seconds = time.perf_counter() - began
    engine.close()
    return engine.number * steps / seconds
