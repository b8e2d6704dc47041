"""Stored runs of the fake body for the tests of `agents/replay/data/`, and ways to damage them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.replay.codec import Rows
from agents.replay.ids import timestep_id
from agents.replay.log import Log
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Episode
from agents.replay_commands import add_replay
from agents.stopping import StopFlag
from tests.runs import RUN, explore, open_run, small_config


def fill(replay: Log, name: str = RUN, *, timesteps: int = 300) -> list[Episode]:
    """A run with episodes of two workers."""
    run = open_run(replay, small_config(), name)
    for worker in ("a", "b"):
        explore(replay, small_config(), run, timesteps // 2, worker)
    return list(replay.episodes_after(name, {}))


def stored_row(replay: MemoryReplay, episode: int, step: int) -> Rows:
    """(1,) the stored timestep itself: what is written into it is damage."""
    return replay._timesteps[timestep_id(episode, step)]


def all_rows(replay: Log, run: str) -> Rows:
    """Every timestep of the run's finished episodes."""
    return replay.rows(replay.episodes_after(run, {}))


def equal_columns(one: Rows, other: Rows, *, besides: Sequence[str] = ("_id", "episode")) -> bool:
    """Whether two runs' timesteps are the same bit for bit, but for the numbers of their episodes."""
    names = one.dtype.names or ()
    return names == other.dtype.names and all(
        np.ascontiguousarray(one[name]).tobytes() == np.ascontiguousarray(other[name]).tobytes()
        for name in names
        if name not in besides
    )


def command(*arguments: str) -> None:
    """Runs `python -m agents replay …` in this process; whatever it raises comes through."""
    parser = argparse.ArgumentParser()
    add_replay(parser.add_subparsers(dest="name"))
    options: Any = parser.parse_args(["replay", *arguments])
    options.command(options, StopFlag())
