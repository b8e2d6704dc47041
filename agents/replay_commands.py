"""`python -m agents replay …`: what is stored, and moving and deleting it.

summary    runs in figures
episodes   a run's episodes, one line each
export     a run to a folder, as Parquet (lossless) or as a Minari dataset
import     such a Parquet folder into a database
prune      deletes episodes
verify     looks for damage; exit status 1 when there is some
spool      what waits on this machine for the database; sends what dead workers left
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.connections import Connections, load_env
from agents.replay.data.arguments import choose, choose_to_prune, selection
from agents.replay.data.needs import learners_from, needed_by_checkpoints
from agents.replay.data.progress import ProgressLine
from agents.stopping import StopFlag

if TYPE_CHECKING:
    from agents.replay.data.spools import Waiting
    from agents.replay.mongo import MongoReplay
    from agents.replay.runs import Episode, Run

Command = Callable[[argparse.Namespace, StopFlag], None]


def summary(options: argparse.Namespace, stop: StopFlag) -> None:
    """Runs in figures."""
    from agents.replay.data.spools import waiting_text
    from agents.replay.data.summary import disk_text, summarise

    waiting = [one for one in _waiting(options.run) if one.is_left or one.refused]
    with _replay() as replay:
        found = [summarise(replay, name) for name in ([options.run] if options.run else replay.runs())]
        disk = replay.bytes_on_disk()
    if options.json:
        runs, spools = ([one.document() for one in told] for told in (found, waiting))
        print(json.dumps({"runs": runs, "bytes_on_disk": disk, "spools": spools}, indent=2))
    else:
        last = "\n".join([disk_text(disk), *waiting_text(waiting)])
        print("\n\n".join([*(one.text() for one in found), last]))


def episodes(options: argparse.Namespace, stop: StopFlag) -> None:
    """A run's episodes in the order in which they finished, one line each."""
    from agents.replay.data.text import episode_facts, episodes_text

    with _replay() as replay:
        replay.run(options.run)
        found = selection(options).of(replay.episodes_after(options.run, {}))
    print(json.dumps([episode_facts(one) for one in found], indent=2) if options.json else episodes_text(found))


def export(options: argparse.Namespace, stop: StopFlag) -> None:
    """A run, or some of its episodes, to a new folder."""
    with _replay() as replay, ProgressLine("export", stop) as progress:
        run = replay.run(options.run)
        chosen = selection(options).of(replay.episodes_after(run.name, {}))
        write = _export_parquet if options.format == "parquet" else _export_minari
        try:
            text = write(replay, run, chosen, options.to, progress)
        except LookupError as error:
            raise ValueError(f"nothing was exported: {error}; `replay verify` finds all that is wrong") from error
    print(f"{options.to}: {text}")


def _export_parquet(
    replay: MongoReplay, run: Run, chosen: Sequence[Episode], folder: Path, progress: ProgressLine
) -> str:
    from agents.replay.data.export import export as write

    done = write(replay, run.name, chosen, folder, progress=progress)
    return f"{done.episodes:,} episodes, {done.timesteps:,} timesteps"


def _export_minari(
    replay: MongoReplay, run: Run, chosen: Sequence[Episode], folder: Path, progress: ProgressLine
) -> str:
    from agents.config import RunConfig
    from agents.memory import build_derivation
    from agents.replay.data.minari_export import export_minari

    derivation = build_derivation(RunConfig.of(run.config), run)
    made = export_minari(replay, run, derivation, chosen, folder, progress=progress)
    left_out = f"; {made.left_out:,} episodes without a decision left out" if made.left_out else ""
    return f"Minari dataset {made.dataset_id}: {made.episodes:,} episodes, {made.steps:,} decisions{left_out}"


def import_(options: argparse.Namespace, stop: StopFlag) -> None:
    """An export to a database: into the run of its name, or another."""
    from agents.config import check_run_name
    from agents.replay.data.importing import import_run

    name = None if options.as_run is None else check_run_name(options.as_run)
    with _replay() as replay, ProgressLine("import", stop) as progress:
        done = import_run(replay, options.folder, name, progress=progress)
    print(
        f"run {done.run}: {done.episodes:,} episodes added, {done.timesteps:,} timesteps; {done.present:,} were there"
    )


def prune(options: argparse.Namespace, stop: StopFlag) -> None:
    """Deletes episodes of a run; says what it would delete unless --yes is given."""
    from agents.replay.data.prune import Which, carry_out, plan

    which = Which(
        all=options.all,
        before=options.older_than,
        keep_timesteps=options.keep_timesteps,
        purposes=tuple(options.purpose or ()),
    )
    with _replay() as replay:
        planned = plan(replay, options.run, which, _needed(replay, options.run))
        print(planned.text())
        if options.dry_run:
            return
        if not options.yes:
            raise ValueError("nothing was deleted; add --yes to do it")
        with ProgressLine("prune", stop) as progress:
            carry_out(replay, planned, strand=options.strand_checkpoint, progress=progress)
    print("done")


def verify(options: argparse.Namespace, stop: StopFlag) -> None:
    """Walks all timesteps of a run and looks for damage; exit status 1 when there is some."""
    from agents.replay.data.verify import verify as walk

    with _replay() as replay, ProgressLine("verify", stop) as progress:
        found = walk(replay, options.run, progress=progress)
    print(json.dumps(found.document(), indent=2) if options.json else found.text())
    if not found.good:
        raise ValueError(f"run {options.run!r} is damaged: {sum(found.problems.counts.values()):,} problems")


def spool(options: argparse.Namespace, stop: StopFlag) -> None:
    """What waits on this machine for the database: every worker's spool folder."""
    from agents.replay.data.spools import send, spools_text

    found, outcomes = _waiting(options.run), []
    if options.send and any(one.to_send for one in found):
        with _replay() as replay:
            outcomes = send(replay, found, stop)
        found = _waiting(options.run)
    if options.json:
        spools, sent = [one.document() for one in found], [asdict(one) for one in outcomes]
        print(json.dumps({"spools": spools, "sent": sent}, indent=2))
    else:
        print("\n".join([*(one.text() for one in outcomes), spools_text(found)]))
    unsent = [one for one in outcomes if one.problem]
    if unsent:
        raise ValueError(f"{len(unsent)} spool folders were left as they are: {unsent[0].problem}")


def add_replay(commands: Any) -> None:
    """Adds the sub-command `replay` to the sub-parsers of `python -m agents`."""
    parser = commands.add_parser(
        "replay",
        help="what is stored: summary, episodes, export, import, prune, verify, spool",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner = parser.add_subparsers(dest="replay_command", required=True, metavar="COMMAND")

    def command(function: Command, *, run: bool = True) -> argparse.ArgumentParser:
        name, text = function.__name__.rstrip("_"), function.__doc__ or ""
        added: argparse.ArgumentParser = inner.add_parser(name, help=text.rstrip("."), description=text)
        added.set_defaults(command=function, name=f"replay {name}")
        if run:
            added.add_argument("--run", required=True, metavar="NAME", help="the run's name")
        added.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")
        return added

    told = command(summary, run=False)
    told.add_argument("--run", metavar="NAME", help="only this run (default: all)")
    listed, exported = command(episodes), command(export)
    for added in (listed, exported):
        choose(added)
    exported.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="a new folder")
    exported.add_argument("--format", choices=("parquet", "minari"), default="parquet", help="default: %(default)s")
    imported = command(import_, run=False)
    imported.add_argument("--from", dest="folder", type=Path, required=True, metavar="FOLDER", help="a Parquet export")
    imported.add_argument("--as", dest="as_run", metavar="NAME", help="name of the run here (default: as exported)")
    choose_to_prune(command(prune))
    waiting = command(spool, run=False)
    waiting.add_argument("--run", metavar="NAME", help="only this run (default: all)")
    waiting.add_argument("--send", action="store_true", help="send what workers left that no longer run")
    for added in (told, listed, command(verify), waiting):
        added.add_argument("--json", action="store_true", help="print JSON")


@contextmanager
def _replay() -> Iterator[MongoReplay]:
    from agents.build import open_replay

    with closing(open_replay(Connections.from_environment())) as replay:
        yield replay


def _waiting(run: str | None) -> list[Waiting]:
    from agents.config import data_dir
    from agents.replay.data.spools import look

    load_env()  # DATA_DIR may stand in .env
    return look(data_dir(), run)


def _needed(replay: MongoReplay, run: str) -> frozenset[int]:
    from agents.build import open_store

    with closing(open_store(Connections.from_environment())) as store:
        return needed_by_checkpoints(store, learners_from(replay, run))
