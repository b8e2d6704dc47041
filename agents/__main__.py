"""`python -m agents …`: one process each.

    create     make a run from a configuration, or one that learns from a stored run
    explore    random actions until the run has enough random timesteps
    rollout    a rollout worker
    learn      the learner
    evaluate   score published checkpoints, in the background or one of them once; --official: as the challenge does
    export-policy  write a published policy as safetensors, as ONNX, or for numpy alone
    find-lr    which learning rates the stored timesteps bear
    resimulate play stored episodes on the reference physics and tell how far they come apart
    watch      show a walk, as a video or in the browser
    replay     what is stored: summary, episodes, export, import, prune, verify, spool

The services are those that `.env` and the environment name (see `.env.example`); `python -m infra up` starts local
ones. `python -m infra run` starts all of these processes together.
"""

from __future__ import annotations

import argparse
import json
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType

from agents.checkpoints.contract import (
    CheckpointConflict,
    CheckpointCorrupt,
    CheckpointMissing,
    CheckpointStoreUnavailable,
)
from agents.config import RunConfig, check_run_name, data_dir
from agents.connections import Connections, ConnectionsMissing
from agents.evaluator import Stopped
from agents.lease import LeaseLost, RunIsTaken
from agents.new_run import NewRun, add_options
from agents.official.options import BEST, misplaced
from agents.official.options import add_options as add_official
from agents.plain import ConfigError
from agents.policy import PolicyMismatch
from agents.policy_export import FORMS, ExportFailed
from agents.replay.contract import ReplayUnavailable
from agents.replay_commands import add_replay
from agents.stopping import StopFlag, stop_on_signals
from agents.telemetry import Telemetry, set_up_logging
from agents.watch.command import add_watch
from environment.config import PHYSICS
from environment.physics.native.settings import METHODS
from environment.physics.settings import INTEGRATORS

log = logging.getLogger(__name__)

FEWEST_UPDATES = 20
"""Of a range test."""
_CLEAR = (
    ConfigError,
    ConnectionsMissing,
    ReplayUnavailable,
    CheckpointStoreUnavailable,
    CheckpointMissing,
    CheckpointConflict,
    CheckpointCorrupt,
    PolicyMismatch,
    ExportFailed,
    RunIsTaken,
    LeaseLost,
    Stopped,
    FloatingPointError,
    FileNotFoundError,
    MemoryError,
    KeyError,
    ValueError,
)
"""Errors whose message says what to do: the user gets the sentence, not the traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 after a clean end, 1 with one sentence on stderr otherwise."""
    parser = _parser()
    options = parser.parse_args(arguments)
    wrong: Callable[[argparse.Namespace], str | None] | None = getattr(options, "wrong", None)
    if wrong is not None and (reason := wrong(options)) is not None:
        parser.error(reason)
    set_up_logging()
    stop = stop_on_signals()
    command: Callable[[argparse.Namespace, StopFlag], None] = options.command
    try:
        command(options, stop)
    except _CLEAR as error:
        if options.traceback:
            raise
        # A KeyError prints its message in quotes.
        print(f"{options.name}: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    return 0


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


def create(options: argparse.Namespace, stop: StopFlag) -> None:
    """Makes the run, or checks that the one of that name fits."""
    from agents.build import create_run, open_replay

    check_run_name(options.run)
    asked = NewRun.asked(options)
    asked.check()
    with closing(open_replay(Connections.from_environment())) as replay:
        config = asked.configuration(options.run, replay)
        run = create_run(options.run, config, replay)
    print(f"run {run.name}: {run.task}, {len(run.state_names)} numbers a state, {run.physics}")
    print(f"  sees {run.observation}, learns for {run.reward}")
    for other, share in config.replay.partitions.items():
        print(f"  learns from run {other} as well: {share:.0%} of every batch")


def rollout(options: argparse.Namespace, stop: StopFlag) -> None:
    """Plays episodes with the newest policy until stopped."""
    from agents.worker import Rollouts

    wanted: int | None = options.episodes
    with Session(options.run, options.process or f"{socket.gethostname()}-{options.worker}") as session:
        work = Rollouts(session.run, session.config, session.replay, session.store, session.telemetry)
        work.work(options.worker, options.workers, stop, lambda: wanted is not None and work.episodes >= wanted)


def explore(options: argparse.Namespace, stop: StopFlag) -> None:
    """Random actions until the run has the wanted number of timesteps."""
    from agents.worker import Collected, Rollouts

    with Session(options.run, options.process or f"{socket.gethostname()}-explorer") as session:
        collected = Collected(session.replay, session.run.name)
        wanted = options.timesteps or session.config.replay.explore_timesteps
        work = Rollouts(session.run, session.config, session.replay, None, session.telemetry)
        work.work(0, 1, stop, lambda: collected() >= wanted)


def learn(options: argparse.Namespace, stop: StopFlag) -> None:
    """Trains the run, going on from its newest checkpoint."""
    from agents.training import train_run

    with Session(options.run, "learner") as session:
        learner = train_run(session.run, session.config, session.replay, session.store, session.telemetry, stop)
        log.info("stopped after %d updates", learner.updates)


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
        export(blob, version.number, needed, options.format, options.out, provenance)
    print(f"{options.out}: version {version.number} of run {options.run}, {options.out.stat().st_size:,} bytes")


def resimulate(options: argparse.Namespace, stop: StopFlag) -> None:
    """Plays stored episodes on the reference physics and tells how far the two come apart."""
    from agents import divergence
    from agents import resimulation as loop
    from agents.build import build_resimulator

    if options.json and not options.json.absolute().parent.is_dir():
        raise FileNotFoundError(f"no folder {options.json.absolute().parent} to write {options.json.name} in")
    names = ("physics", "integrator", "accuracy", "stale_controls")
    with Session(options.run, options.process or f"resimulator.{socket.gethostname()}") as session:
        stored = session.replay.episodes_after(options.run, {})
        to_choose_from, left_out = (stored, {}) if options.ids else loop.ordinary(stored, session.run.physics)
        chosen = loop.select(to_choose_from, options.episodes, options.by, options.ids or ())
        reference = {name: getattr(options, name) for name in names}
        if options.physics == "opensim":
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agents", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def command(
        function: Callable[[argparse.Namespace, StopFlag], None], *, needs_run: bool = True
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(
            function.__name__.replace("_", "-"), help=(function.__doc__ or "").rstrip("."), description=function.__doc__
        )
        added.set_defaults(command=function)
        added.add_argument("--run", required=needs_run, metavar="NAME", help="the run's name")
        added.add_argument("--process", metavar="NAME", help="name of this process in logs and events")
        added.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")
        return added

    add_options(command(create))
    worker = command(rollout)
    worker.add_argument("--worker", type=int, default=0, metavar="K", help="its place on the noise ladder, from 0")
    worker.add_argument("--workers", type=int, default=1, metavar="N", help="how many workers share the ladder")
    worker.add_argument("--episodes", type=int, metavar="N", help="stop after so many")
    command(explore).add_argument("--timesteps", type=int, metavar="N", help="in the log of the run when done")
    command(learn)
    scoring = command(evaluate, needs_run=False)
    scoring.set_defaults(wrong=misplaced)
    scoring.add_argument(
        "--version", type=_version, metavar="N|best", help="score this version once (default: follow the newest)"
    )
    scoring.add_argument("--once", action="store_true", help="score the newest version once")
    scoring.add_argument("--seeds", type=int, nargs="+", metavar="SEED", help="of the episodes")
    add_official(scoring)
    exporting = command(export_policy)
    exporting.add_argument("--version", type=_version, metavar="N|best", help="default: the newest")
    exporting.add_argument(
        "--format", choices=list(FORMS), required=True, help="safetensors keeps all, numpy is a .npz file"
    )
    exporting.add_argument("--out", type=Path, required=True, metavar="FILE", help="to write")
    finder = command(find_lr)
    finder.add_argument("--updates", type=_some, default=1000, metavar="N", help="of each test (default: %(default)s)")
    finder.add_argument("--json", type=Path, metavar="FILE", help="write everything there too")
    finder.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the curves there")
    _choose_episodes(command(resimulate))
    add_watch(commands)
    add_replay(commands)
    return parser


def _choose_episodes(added: argparse.ArgumentParser) -> None:
    added.add_argument("--episodes", type=_positive, default=10, metavar="N", help="how many (default: %(default)s)")
    which = added.add_mutually_exclusive_group()
    for by, of in (("newest", "that finished last (default)"), ("worst", "of lowest return"), ("best", "of highest")):
        which.add_argument(f"--{by}", dest="by", action="store_const", const=by, default="newest", help=f"those {of}")
    which.add_argument("--ids", type=int, nargs="+", metavar="ID", help="these episodes")
    added.add_argument("--physics", choices=PHYSICS, default="opensim", help="the reference (default: %(default)s)")
    added.add_argument("--integrator", choices=(*INTEGRATORS, *METHODS), help="default on OpenSim: RungeKuttaMerson")
    added.add_argument("--accuracy", type=float, metavar="A", help="default on OpenSim: 1e-7")
    added.add_argument("--stale-controls", action="store_true", help="with osim-rl's fault, as official scores have it")
    added.add_argument("--json", type=Path, metavar="FILE", help="write everything there too")


def _some(text: str) -> int:
    number = int(text)
    if number < FEWEST_UPDATES:
        raise argparse.ArgumentTypeError(f"{number} must be at least {FEWEST_UPDATES}: fewer make no curve")
    return number


def _version(text: str) -> int | str:
    return text if text == BEST else int(text)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
