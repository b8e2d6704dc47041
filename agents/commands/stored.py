"""`python -m agents find-lr | resimulate`: what the stored timesteps tell of learning rates and of the physics."""

from __future__ import annotations

import argparse
import json
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

from agents.commands.session import Session, add_command
from agents.config import check_run_name
from agents.connections import Connections
from agents.stopping import StopFlag
from environment.config import PHYSICS
from environment.physics.native.settings import METHODS
from environment.physics.settings import INTEGRATORS

FEWEST_UPDATES = 20
"""Of a range test."""


def find_lr(options: argparse.Namespace, stop: StopFlag) -> None:
    """Tells which learning rates the stored timesteps bear, by a range test; changes nothing."""
    from agents import find_lr_report as report
    from agents.build import open_replay
    from agents.find_lr import find_rates

    check_run_name(options.run)
    report.check_paths(options.json, options.plot)
    curves = []
    with closing(open_replay(Connections.from_environment())) as replay:
        for curve in find_rates(replay, replay.run(options.run), options.updates, stop):
            curves.append(curve)
            print(report.table(curve), flush=True)
    report.write(options.run, curves, options.json, options.plot)


def resimulate(options: argparse.Namespace, stop: StopFlag) -> None:
    """Plays stored episodes on a reference physics, or again on their own, and tells how far the two come apart."""
    from agents import divergence
    from agents import resimulation as loop
    from agents.build import build_resimulator
    from agents.episode_choice import ordinary, select

    if options.json and not options.json.absolute().parent.is_dir():
        raise FileNotFoundError(f"no folder {options.json.absolute().parent} to write {options.json.name} in")
    if options.own:
        _refuse_beside_own(options)
    names = ("physics", "integrator", "accuracy", "stale_controls")
    with Session(options.run, options.process or f"resimulator.{socket.gethostname()}") as session:
        stored = session.replay.episodes_after(options.run, {})
        to_choose_from, left_out = (stored, {}) if options.ids else ordinary(stored, session.run.physics)
        chosen = select(to_choose_from, options.episodes, options.by, options.ids or ())
        reference = {name: getattr(options, name) for name in names}
        if options.own:
            reference = {}
        elif options.physics == "opensim":
            # At osim-rl's 5e-5 the reference may be further off than what it judges.
            reference["integrator"] = options.integrator or "RungeKuttaMerson"
            reference["accuracy"] = options.accuracy or 1e-7
        found: list[loop.Divergence | loop.Refused] = []
        with closing(build_resimulator(session.config, session.run, **reference)) as resimulator:
            print("\n".join(filter(None, (divergence.left_out_text(left_out), divergence.HEADER))))
            for item in loop.resimulate(session.replay, chosen, resimulator, stop):
                found.append(item)
                print(divergence.row(item), flush=True)
                session.telemetry.status(resimulated=len(found), wanted=len(chosen))
            document = divergence.as_document(options.run, resimulator.physics, found, left_out)
        print(divergence.as_text(document["summary"]))
        if options.json:
            options.json.write_text(json.dumps(document, indent=2) + "\n")
        session.replay.event(options.run, session.telemetry.process, "resimulated", **document["summary"])
        if not document["episodes"] and not stop():
            raise ValueError(f"no episode of run {options.run!r} was compared: {len(chosen)} chosen, see above")


def _refuse_beside_own(options: argparse.Namespace) -> None:
    for name in ("integrator", "accuracy", "stale_controls"):
        if getattr(options, name):
            raise ValueError(f"--own is as the episodes were integrated; leave out --{name.replace('_', '-')}")


def add_stored(commands: Any) -> None:
    """Adds them to the sub-parsers of `python -m agents`."""
    finder = add_command(commands, find_lr)
    finder.add_argument("--updates", type=_some, default=1000, metavar="N", help="of each test (default: %(default)s)")
    finder.add_argument("--json", type=Path, metavar="FILE", help="write everything there too")
    finder.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the curves there")
    _choose_episodes(add_command(commands, resimulate))


def _choose_episodes(added: argparse.ArgumentParser) -> None:
    added.add_argument("--episodes", type=_positive, default=10, metavar="N", help="how many (default: %(default)s)")
    which = added.add_mutually_exclusive_group()
    for by, of in (("newest", "that finished last (default)"), ("worst", "of lowest return"), ("best", "of highest")):
        which.add_argument(f"--{by}", dest="by", action="store_const", const=by, default="newest", help=f"those {of}")
    which.add_argument("--ids", type=int, nargs="+", metavar="ID", help="these episodes")
    reference = added.add_mutually_exclusive_group()
    reference.add_argument("--physics", choices=PHYSICS, default="opensim", help="the reference (default: %(default)s)")
    reference.add_argument("--own", action="store_true", help="the run's, each episode with what was drawn for it")
    added.add_argument("--integrator", choices=(*INTEGRATORS, *METHODS), help="default on OpenSim: RungeKuttaMerson")
    added.add_argument("--accuracy", type=float, metavar="A", help="default on OpenSim: 1e-7")
    added.add_argument("--stale-controls", action="store_true", help="with osim-rl's fault, as official scores have it")
    added.add_argument("--json", type=Path, metavar="FILE", help="write everything there too")


def _some(text: str) -> int:
    number = int(text)
    if number < FEWEST_UPDATES:
        raise argparse.ArgumentTypeError(f"{number} must be at least {FEWEST_UPDATES}: fewer make no curve")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} must be at least 1")
    return number
