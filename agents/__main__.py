"""`python -m agents …`: one process each.

    create     make a run from a configuration, or one that learns from a stored run
    explore    random actions until the run has enough random timesteps
    rollout    a rollout worker
    learn      the learner
    evaluate   score published checkpoints, in the background or one of them once; --official: as the challenge does
    export-policy  write a published policy as safetensors, as ONNX, or for numpy alone
    find-lr    which learning rates the stored timesteps bear
    resimulate play stored episodes on the reference physics and tell how far they come apart
    demonstrate  motions, or a policy's episodes, as a run for others to learn from
    branch     a run's first version: the networks of another run's version
    clone      a run's first version: an actor that does what is demonstrated
    improve-start  a faster start for a policy's file, by search
    watch      show a walk, as a video or in the browser
    replay     what is stored: summary, episodes, export, import, prune, verify, spool

The services are those that `.env` and the environment name (see `.env.example`); `python -m infra up` starts local
ones. `python -m infra run` starts all of these processes together.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from agents.checkpoints.contract import (
    CheckpointConflict,
    CheckpointCorrupt,
    CheckpointMissing,
    CheckpointStoreUnavailable,
)
from agents.commands.processes import add_processes
from agents.commands.published import add_published
from agents.commands.session import Command
from agents.commands.stored import add_stored
from agents.connections import ConnectionsMissing
from agents.evaluator import Stopped
from agents.imitation.command import add_imitation
from agents.lease import LeaseLost, RunIsTaken
from agents.plain import ConfigError
from agents.policy import PolicyMismatch
from agents.policy_export import ExportFailed
from agents.replay.contract import ReplayUnavailable
from agents.replay_commands import add_replay
from agents.search.command import add_search
from agents.stopping import stop_on_signals
from agents.telemetry import set_up_logging
from agents.watch.command import add_watch

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
    command: Command = options.command
    try:
        command(options, stop)
    except _CLEAR as error:
        if options.traceback:
            raise
        # A KeyError prints its message in quotes.
        print(f"{options.name}: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agents", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
    add_processes(commands)
    add_published(commands)
    add_stored(commands)
    add_imitation(commands)
    add_search(commands)
    add_watch(commands)
    add_replay(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
