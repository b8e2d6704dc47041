"""`python -m agents evaluate --official`: what its options lead to."""

from __future__ import annotations

import argparse
import os
import time
from contextlib import closing

from agents.config import check_run_name, data_dir
from agents.connections import Connections
from agents.find_lr_report import check_paths
from agents.gait.card import gait_card
from agents.gait.feet import body_weight_n
from agents.official.report import Report
from agents.official.scoring import OfficialScoring
from agents.official.sources import Source, in_the_box, named, of_run
from agents.official.wanted import ROUNDS, Wanted
from agents.stopping import StopFlag


def score_officially(options: argparse.Namespace, stop: StopFlag) -> None:
    """Scores one policy, prints the report and writes what was asked for."""
    check_paths(options.json, options.card)
    wanted = Wanted(
        rounds=tuple(name for name in ROUNDS if name in (options.rounds or ROUNDS)),
        physics=options.physics or "opensim",
        episodes=50 if options.episodes is None else options.episodes,
        workers=len(os.sched_getaffinity(0)) if options.workers is None else options.workers,
        max_steps=options.max_steps,
        fresh=options.fresh,
    )
    source = _source(options)
    started_s = time.monotonic()
    scoring = OfficialScoring(source.policy, wanted, data_dir(), lambda line: print(line, flush=True))
    print(f"{source.name}: {', '.join(wanted.rounds)}, {len(wanted.seeds)} seeds, {scoring.physics}", flush=True)
    rounds = scoring.score(stop)
    card = gait_card(scoring.layout, scoring.walks(rounds[-1].task.name, stop), body_weight_n(scoring.model))
    report = Report(
        source=source,
        physics=scoring.physics,
        official=wanted.physics == "opensim" and wanted.max_steps is None,
        rounds=rounds,
        card=card,
        seconds=time.monotonic() - started_s,
    )
    print(f"\n{report.text()}")
    report.write(options.json, options.card)


def _source(options: argparse.Namespace) -> Source:
    if options.policy is not None:
        return named(options.policy)
    if options.run is None:
        return in_the_box()
    from agents.build import open_replay, open_store

    check_run_name(options.run)
    connections = Connections.from_environment()
    with closing(open_replay(connections)) as replay, closing(open_store(connections)) as store:
        return of_run(replay, store, options.run, options.version)
