"""Learners in processes of their own, in turns: whoever waits does nothing, and all meet the same slow moments."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import numpy as np
import torch

from infra.bench.learner.contract import Build, Case, Update
from infra.bench.machine import on_one_core

INSTALL = "`.venv/bin/pipenv install --skip-lock --categories peers` installs it"


class Player:
    """A learner in a process of its own."""

    def __init__(self, build: Build, threads: int) -> None:
        self._process = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(build, threads)
        )

    def start(self, case: Case) -> Future[None]:
        """Makes it anew and warms it up; what it gives raises ImportError when its package is not here, and
        BrokenProcessPool when its process died.
        """
        return self._process.submit(_start, case)

    def turn(self, most_s: float) -> float:
        """Updates per second over about so much time."""
        return self._process.submit(_turn, most_s).result()

    def end(self) -> None:
        self._process.shutdown()


@contextlib.contextmanager
def players(builds: Mapping[str, Build], threads: int, *, pinned: bool) -> Iterator[dict[str, Player]]:
    """A process for each; `pinned`: all of them on one core."""
    with contextlib.ExitStack() as stack:
        if pinned:
            stack.enter_context(on_one_core())
        started = {}
        for name, build in builds.items():
            started[name] = Player(build, threads)
            stack.callback(started[name].end)
        yield started


def updates_per_s(
    playing: dict[str, Player], case: Case, rounds: int, turn_s: float, missing: dict[str, str]
) -> dict[str, float]:
    """Median of the turns of each. Whoever can not play leaves `playing`; `missing` learns why."""
    # All at once: compilers take a minute each.
    starting = {name: player.start(case) for name, player in playing.items()}
    for name, start in starting.items():
        try:
            start.result()
        except ImportError as error:
            missing[name] = f"{error}; {INSTALL}"
            del playing[name]
    rates: dict[str, list[float]] = {name: [] for name in playing}
    for turn in range(rounds):
        for name in _order(list(playing), turn):
            rates[name].append(playing[name].turn(turn_s))
    return {name: float(np.median(found)) for name, found in rates.items()}


def _order(names: Sequence[str], turn: int) -> Sequence[str]:
    """Every other time the other way round: nobody always follows the same neighbour, who warms or empties caches."""
    return names if turn % 2 == 0 else names[::-1]


_here: dict[str, Any] = {}
"""Of a player's process: how it is built, what it is now."""


def _begin(build: Build, threads: int) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    _here["build"] = build


def _start(case: Case) -> None:
    _here.pop("update", None)  # the memory of the last case, before that of the next one is needed
    update: Update = _here["build"](case)
    update(case.piece)
    _here["update"], _here["case"] = update, case


def _turn(most_s: float) -> float:
    update, case = _here["update"], _here["case"]
    done, passed_s = 0, 0.0
    began_s = time.perf_counter()
    while done == 0 or passed_s < most_s:
        update(case.piece)
        done += case.piece
        if case.device != "cpu":
            torch.cuda.synchronize()
        passed_s = time.perf_counter() - began_s
    return done / passed_s
