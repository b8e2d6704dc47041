"""From the command line: compare runs that exist, or train a recipe's ablations and compare those."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from agents.build import open_replay
from agents.connections import Connections
from agents.evaluator import EVALUATED
from agents.replay.contract import Replay
from agents.stopping import StopFlag
from infra.compare import figures
from infra.compare.ablations import Ablation
from infra.compare.groups import Group, curves_of
from infra.compare.plot import plot
from infra.run import run
from infra.summary import newest_version


def compare(groups: Sequence[Group], updates: int | None, picture: Path | None, document: Path | None) -> None:
    """Prints the table, and saves what was asked for. The services must be up if a group names a stored run.

    Raises: ValueError, for runs that can not be compared.
    """
    if any(group.stored for group in groups):
        with closing(open_replay(Connections.from_environment())) as replay:
            _compare(groups, replay, updates, picture, document)
    else:
        _compare(groups, None, updates, picture, document)


def ablate(asked: Ablation, picture: Path | None, document: Path | None, stop: StopFlag) -> None:
    """Trains what is missing, run after run, until `stop`; then compares what there is. The services must be up.

    Called again, it goes on where it was stopped.
    """
    variants = asked.variants()
    connections = Connections.from_environment()
    for options in asked.runs():
        if stop():
            break
        if _updates_of(options.name, connections) < asked.updates:
            run(options, stop)
    with closing(open_replay(connections)) as replay:
        groups = asked.groups(lambda name: name in replay.runs() and bool(replay.events(name, EVALUATED)))
    if not groups:
        print("nothing to compare yet: no run has a score")
        return
    for one in variants:
        print(f"  {one.name:<20} {one.about}")
    compare(groups, asked.updates, picture, document)


def _compare(
    groups: Sequence[Group], replay: Replay | None, updates: int | None, picture: Path | None, document: Path | None
) -> None:
    curves = curves_of(groups, replay)
    print(figures.table(curves, updates))
    if picture is not None:
        plot(curves, picture, f"up to {updates:,} updates" if updates else "whole runs", updates)
    if document is not None:
        document.write_text(json.dumps(figures.document(curves, updates), indent=2) + "\n")


def _updates_of(name: str, connections: Connections) -> int:
    """Of the run's newest version; 0 for a run that does not exist."""
    from agents.build import open_store

    with closing(open_store(connections)) as store:
        version = newest_version(store, name)
    return int(version.metadata["updates"]) if version else 0
