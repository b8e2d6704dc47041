"""What most commands open first, and how a command of one run is added to the parser."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from agents.config import RunConfig, check_run_name, data_dir
from agents.connections import Connections
from agents.official.options import BEST
from agents.stopping import StopFlag
from agents.telemetry import Telemetry

Command = Callable[[argparse.Namespace, StopFlag], None]


def add_command(commands: Any, function: Command, *, needs_run: bool = True) -> argparse.ArgumentParser:
    """Adds a sub-command named and described as the function, with the options that all of them have.

    Args:
        commands: The sub-parsers of `python -m agents`.
    """
    added: argparse.ArgumentParser = commands.add_parser(
        function.__name__.replace("_", "-"), help=(function.__doc__ or "").rstrip("."), description=function.__doc__
    )
    added.set_defaults(command=function)
    added.add_argument("--run", required=needs_run, metavar="NAME", help="the run's name")
    added.add_argument("--process", metavar="NAME", help="name of this process in logs and events")
    added.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")
    return added


def a_version(text: str) -> int | str:
    """An argument: a number, or `best`."""
    return text if text == BEST else int(text)


class Session:
    """What every command opens first, and closes in the end."""

    def __init__(self, run: str, process: str) -> None:
        from agents.build import open_replay, open_store

        check_run_name(run)
        connections = Connections.from_environment()
        with ExitStack() as opened:
            self.replay = open_replay(connections)
            opened.callback(self.replay.close)
            self.store = open_store(connections)
            opened.callback(self.store.close)
            self.run = self.replay.run(run)
            self.config = RunConfig.of(self.run.config)
            self.telemetry = Telemetry(data_dir() / "runs" / run, process)
            self._opened = opened.pop_all()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.telemetry.close(well=error is None)
        self._opened.close()
