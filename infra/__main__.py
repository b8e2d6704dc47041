"""`python -m infra …`: many processes, and the services they need.

up        start the local MongoDB and S3 server, if `.env` names no others
down      stop them
status    what runs, and what the runs have collected
run       the main job: exploration, workers, learner, evaluator, live view, summary; a recipe's ends with a report
report    of a stored run: learning curves, held-out scores, gait card, video, all in one page
compare   learning curves of several runs, group by group: a table and a picture
ablate    train a recipe without one ingredient after another, and compare
bench     measure this machine, beside a peer
faults    kill, cut off and fill up what the replay memory lives on, and count what is lost
compass   print the connection string for MongoDB Compass (it holds the password)
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agents.checkpoints.contract import CheckpointMissing, CheckpointStoreUnavailable
from agents.config import check_run_name
from agents.connections import Connections, ConnectionsMissing
from agents.new_run import NewRun, add_options
from agents.plain import ConfigError
from agents.replay.contract import ReplayUnavailable
from agents.stopping import stop_on_signals
from infra.bench.choice import BENCHES
from infra.compare.options import add_ablate_options, add_compare_options
from infra.preflight import Unfit, check_machine
from infra.services.control import ServiceFailed, down, ensure_up, keep_up, service_status, services_for_a_run
from infra.settings import Settings, SettingsError

log = logging.getLogger(__name__)

_CLEAR = (
    Unfit,
    ServiceFailed,
    SettingsError,
    ConfigError,
    ConnectionsMissing,
    ReplayUnavailable,
    CheckpointStoreUnavailable,
    CheckpointMissing,
    ValueError,
    OSError,
)
"""Errors whose message says what to do: the user gets the sentence, not the traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 after a clean end, 1 with one sentence on stderr otherwise."""
    from infra.run import RunFailed

    options = _parser().parse_args(arguments)
    options.typed = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except (*_CLEAR, RunFailed) as error:
        if options.traceback:
            raise
        print(f"{options.name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{options.name}: interrupted", file=sys.stderr)
        return 130
    return 0


def up(options: argparse.Namespace) -> None:
    """Start the local services that `.env` asks for; makes `.env` at the first start."""
    settings = _settings()
    started = ensure_up(settings)
    keep_up(settings)
    print("services started" if started else "services were up already")
    _print_services(service_status(settings))


def stop(options: argparse.Namespace) -> None:
    """Stop the local services."""
    print("services stopped" if down(Settings.load()) else "no local services were running")


def status(options: argparse.Namespace) -> None:
    """What runs here, and what every run has collected and published."""
    settings = Settings.load()
    services = service_status(settings)
    found: dict[str, Any] = {"services": services, "runs": {}}
    if all(service["up"] for service in services.values()):
        found["runs"] = _runs()
    if options.json:
        print(json.dumps(found, indent=2))
        return
    _print_services(services)
    if not found["runs"] and not all(service["up"] for service in services.values()):
        print("the runs can be told when both are up")
    for name, run in found["runs"].items():
        counts = ", ".join(f"{count:,} {what}" for what, count in run["collections"].items())
        used = run["first_use_s"]
        soon = "" if used is None else f", versions used {used:.2f} s after their publication (median)"
        print(f"{name}: {run['task']}, {counts}, newest version {run['latest_version']}{soon}")


def run(options: argparse.Namespace) -> None:
    """The main job, until Ctrl-C or for --minutes; a second run of the same name goes on with it."""
    from infra.run import RunOptions
    from infra.run import run as run_here

    asked = RunOptions(
        name=options.run or options.recipe or "first-light",
        minutes=options.minutes,
        updates=options.updates,
        workers=options.workers,
        new=NewRun.asked(options),
        summary=options.summary,
        evaluator=not options.no_evaluator,
        recipe=options.recipe,
        command=shlex.join(["python", "-m", "infra", *options.typed]),
    )
    flag = stop_on_signals()
    settings = _settings()
    with services_for_a_run(settings):
        run_here(asked, flag)
        if options.recipe is not None if options.report is None else options.report:
            from infra.report.command import report_after

            report_after(asked.name, flag)


def report(options: argparse.Namespace) -> None:
    """Make a run's report: learning curves, scores on held-out seeds, gait card, video, and a page of all."""
    from infra.report.command import report as make
    from infra.report.make import ReportOptions

    workers = len(os.sched_getaffinity(0)) if options.workers is None else options.workers
    asked = ReportOptions(
        run=check_run_name(options.run), episodes=options.episodes, threads=workers, video=not options.no_video
    )
    flag = stop_on_signals()
    with services_for_a_run(_settings()):
        make(asked, flag)


def compare(options: argparse.Namespace) -> None:
    """Compare runs, group by group: scores at the end of a budget, and their learning curves."""
    from infra.compare.command import compare as compare_runs
    from infra.compare.groups import Group

    groups = [Group.of(text) for text in options.groups]
    if any(group.stored for group in groups):
        with services_for_a_run(_settings()):
            compare_runs(groups, options.updates, options.plot, options.json)
    else:
        compare_runs(groups, options.updates, options.plot, options.json)


def ablate(options: argparse.Namespace) -> None:
    """Train a recipe and what it is without one ingredient after another, seed by seed, and compare them. What was
    trained already is not trained again."""
    from infra.compare.command import ablate as ablate_recipe
    from infra.compare.options import ablation_of

    asked = ablation_of(options)
    flag = stop_on_signals()
    with services_for_a_run(_settings()):
        ablate_recipe(asked, options.plot, options.json, flag)


def bench(options: argparse.Namespace) -> None:
    """Measure this machine, the peer in the same run, and print a table."""
    from infra.bench import report
    from infra.bench.curves import plot

    if options.plot and options.bench != "curves":
        raise ValueError(f"--plot draws learning curves, and {options.bench} has none; `bench curves` has")
    if options.plot:
        plot.check_path(options.plot)
    result = BENCHES[options.bench](options.quick)
    print(report.table(result))
    if options.json:
        report.save(result, options.json)
    if options.plot:
        plot.plot(result, options.plot)
    if not all(row.get("within", True) for row in result["rows"]):
        raise SystemExit(1)


def faults(options: argparse.Namespace) -> None:
    """Break what the replay memory lives on, for real, in servers of its own, and count what is lost."""
    from infra.bench.report import save
    from infra.faults.outcome import table
    from infra.faults.report import faults as break_things

    result = break_things(options.only, quick=options.quick)
    print(table(result["rows"]))
    if options.json:
        save(result, options.json)
    if not all(row["passes"] for row in result["rows"]):
        raise SystemExit(1)


def compass(options: argparse.Namespace) -> None:
    """Print the connection string for MongoDB Compass."""
    Settings.load()
    print(Connections.from_environment().mongodb_uri)


def _settings() -> Settings:
    """Of this machine, filled in. Raises: Unfit before anything is written, SettingsError."""
    Settings.load()  # first, because DATA_DIR may stand in .env
    check_machine()
    return Settings.load(create=True)


def _runs() -> dict[str, Any]:
    from agents.build import open_replay, open_store
    from infra.progress import first_use_s
    from infra.summary import newest_version

    connections = Connections.from_environment()
    replay, store = open_replay(connections), open_store(connections)
    found = {}
    for name in replay.runs():
        counts, version = replay.counts(name), newest_version(store, name)
        found[name] = {
            "task": replay.run(name).task,
            "collections": {
                "runs": counts.runs,
                "episodes": counts.episodes,
                "timesteps": counts.timesteps,
                "events": counts.events,
            },
            "aborted": counts.aborted,
            "latest_version": version.number if version else 0,
            "learner": replay.lease_holder(name),
            "first_use_s": first_use_s(replay, name),
        }
    replay.close()
    return found


def _print_services(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        state = "up" if service["up"] else "down"
        elsewhere = "elsewhere" if service["up"] else "not set up: `make up`, or name one in .env"
        place = f"port {service['port']}" if service["local"] else elsewhere
        print(f"{name}: {state}, {place}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        help_line = (function.__doc__ or "").splitlines()[0].rstrip(".")
        added = commands.add_parser(name, help=help_line, description=function.__doc__)
        added.set_defaults(command=function)
        added.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")
        return added

    command("up", up)
    command("down", stop)
    command("status", status).add_argument("--json", action="store_true", help="as JSON")
    command("compass", compass)
    measure = command("bench", bench)
    measure.add_argument("bench", choices=list(BENCHES), help="what to measure; `fidelity` compares with `references`")
    measure.add_argument("--quick", action="store_true", help="less of it, in a minute or two")
    measure.add_argument("--json", type=Path, metavar="FILE", help="save the result here")
    measure.add_argument("--plot", type=Path, metavar="FILE", help="of `curves`: save a picture of them here")
    breaking = command("faults", faults)
    breaking.add_argument("--only", nargs="+", default=[], metavar="NAME", help="some scenarios (default: all)")
    breaking.add_argument("--quick", action="store_true", help="less of each, in a minute or two")
    breaking.add_argument("--json", type=Path, metavar="FILE", help="save the result here")
    job = command("run", run)
    job.add_argument("--run", "--name", dest="run", metavar="NAME", help="default: the recipe's, else first-light")
    job.add_argument("--minutes", type=float, metavar="M", help="stop after so long (default: until Ctrl-C)")
    job.add_argument("--updates", type=int, metavar="N", help="stop soon after so many, of the run's whole life")
    job.add_argument("--workers", type=int, metavar="N", help="rollout workers (default: cores minus one)")
    add_options(job)
    job.add_argument("--summary", type=Path, metavar="FILE", help="save the summary as JSON here too")
    job.add_argument("--no-evaluator", action="store_true", help="score nothing in the background")
    job.add_argument(
        "--report", action=argparse.BooleanOptionalAction, help="end with a report (default: for a recipe)"
    )
    told = command("report", report)
    told.add_argument("--run", "--name", dest="run", required=True, metavar="NAME", help="the run's name")
    told.add_argument("--episodes", type=int, default=50, metavar="N", help="held-out seeds (default: %(default)s)")
    told.add_argument("--workers", type=int, metavar="K", help="threads that simulate (default: one per core)")
    told.add_argument("--no-video", action="store_true", help="draw none")
    add_compare_options(command("compare", compare))
    add_ablate_options(command("ablate", ablate))
    return parser


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
