"""A report from the command line: of a stored run, or of one that has just ended."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing

from agents.build import open_replay, open_store
from agents.connections import Connections
from agents.evaluator import Stopped
from agents.stopping import StopFlag, stop_on_signals
from infra.report.make import ReportOptions, make_report


def report(options: ReportOptions, stop: StopFlag) -> None:
    """Makes the report and prints it in short. The services must be up. Stopped, it says so.

    Raises: ValueError when there is no such run; ReplayUnavailable; CheckpointStoreUnavailable.
    """
    connections = Connections.from_environment()
    try:
        with closing(open_replay(connections)) as replay, closing(open_store(connections)) as store:
            path = make_report(options, replay, store, stop, lambda line: print(line, flush=True))
    except Stopped as stopped:
        _say_none(options.run, str(stopped))
        return
    print(f"  report     {path}", flush=True)


def report_after(run: str, flag: StopFlag) -> None:
    """The same of a run that `flag` may have ended: one Ctrl-C ends the run, another one the report.

    Whoever asked twice, or asked the whole job to end with SIGTERM, waits for no report.
    """
    if signal.SIGTERM in flag.signals or len(flag.signals) > 1:
        _say_none(run, "the job was asked to end at once")
        return
    try:
        report(ReportOptions(run=run, threads=len(os.sched_getaffinity(0))), stop_on_signals())
    except KeyboardInterrupt:
        _say_none(run, "interrupted")


def _say_none(run: str, why: str) -> None:
    print(f"no report: {why}; `python -m infra report --run {run}` makes it", file=sys.stderr)
