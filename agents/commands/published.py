"""`python -m agents evaluate | export-policy | branch`: what a run has published, scored, written, gone on with."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path
from typing import Any

from agents.commands.session import Session, a_version, add_command
from agents.official.options import BEST, misplaced
from agents.official.options import add_options as add_official
from agents.policy_export import FORMS
from agents.stopping import StopFlag


def evaluate(options: argparse.Namespace, stop: StopFlag) -> None:
    """Scores checkpoints beside the baselines on the same seeds."""
    if options.official:
        from agents.official.command import score_officially

        score_officially(options, stop)
        return
    from dataclasses import replace

    from agents.policy import Policy
    from agents.scoring import Scorer, score_published

    once = options.once or options.version is not None
    with Session(options.run, options.process or ("evaluator-once" if once else "evaluator")) as session:
        settings = session.config.evaluation
        seeds = tuple(options.seeds or settings.seeds)
        config = replace(session.config, evaluation=replace(settings, seeds=seeds))
        with closing(Scorer(session.run, config, session.replay, session.telemetry, stop)) as scorer:
            if not once:
                score_published(scorer, session.store, session.run.name, seeds, lambda: stop.wait(1.0))
                return
            version, blob = session.store.load(session.run.name, "policy", options.version)
            scorer.announce(version.number)
            policy = Policy.from_blob(blob, version=version.number)
            found = scorer.evaluate(policy, seeds).facts() | {"version": version.number}
            print(json.dumps({"policy": found} | scorer.baselines(seeds), indent=2))


def export_policy(options: argparse.Namespace, stop: StopFlag) -> None:
    """Writes a published policy as safetensors (for `evaluate --official` and `watch`), as ONNX, or as arrays for
    `agents/numpy_policy.py`, and compares it with the policy."""
    from agents.averaging import average_of
    from agents.build import contract_of
    from agents.official.sources import best_version
    from agents.policy_export import export_policy as export
    from agents.policy_file import provenance_of

    if not options.out.absolute().parent.is_dir():
        raise FileNotFoundError(f"no folder {options.out.absolute().parent} to write {options.out.name} in")
    with Session(options.run, options.process or "exporter") as session:
        number = best_version(session.replay, options.run) if options.version == BEST else options.version
        version, blob = session.store.load(session.run.name, "policy", number)
        needed, provenance = contract_of(session.run, session.config), provenance_of(version)
        if options.average is not None:
            blob, numbers = average_of(session.store, version, options.average)
            provenance["averaged"] = numbers
        export(blob, version.number, needed, options.format, options.out, provenance)
    what = "version" if options.average is None else f"mean of {options.average} versions up to"
    print(f"{options.out}: {what} {version.number} of run {options.run}, {options.out.stat().st_size:,} bytes")


def branch(options: argparse.Namespace, stop: StopFlag) -> None:
    """Begins a run with the networks of another run's version; `create` makes it, with settings of its own."""
    from agents.branching import branch as begin
    from agents.official.sources import best_version

    with Session(options.run, options.process or "brancher") as session:
        parent = options.parent
        number = best_version(session.replay, parent) if options.version == BEST else options.version
        who = session.telemetry.process
        version, source = begin(session.run, session.config, parent, number, session.replay, session.store, who)
    print(f"run {options.run}: version {version.number} is version {source.number} of run {parent}")


def add_published(commands: Any) -> None:
    """Adds them to the sub-parsers of `python -m agents`."""
    scoring = add_command(commands, evaluate, needs_run=False)
    scoring.set_defaults(wrong=misplaced)
    scoring.add_argument(
        "--version", type=a_version, metavar="N|best", help="score this version once (default: follow the newest)"
    )
    scoring.add_argument("--once", action="store_true", help="score the newest version once")
    scoring.add_argument("--seeds", type=int, nargs="+", metavar="SEED", help="of the episodes")
    add_official(scoring)
    exporting = add_command(commands, export_policy)
    exporting.add_argument("--version", type=a_version, metavar="N|best", help="default: the newest")
    exporting.add_argument(
        "--format", choices=list(FORMS), required=True, help="safetensors keeps all, numpy is a .npz file"
    )
    exporting.add_argument(
        "--average", type=int, metavar="N", help="mean of the weights of so many versions, this one the newest of them"
    )
    exporting.add_argument("--out", type=Path, required=True, metavar="FILE", help="to write")
    branching = add_command(commands, branch)
    branching.add_argument("--from", dest="parent", required=True, metavar="STORED", help="run whose version it is")
    branching.add_argument("--version", type=a_version, default=BEST, metavar="N|best", help="default: %(default)s")
