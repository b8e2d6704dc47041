"""`python -m agents create | rollout | explore | learn`: a run, and the processes that collect and learn."""

from __future__ import annotations

import argparse
import logging
import socket
from contextlib import closing
from typing import Any

from agents.commands.session import Session, add_command
from agents.config import check_run_name
from agents.connections import Connections
from agents.new_run import NewRun, add_options
from agents.stopping import StopFlag

log = logging.getLogger(__name__)


def create(options: argparse.Namespace, stop: StopFlag) -> None:
    """Makes the run, or checks that the one of that name fits."""
    from agents.build import create_run, open_replay, scored_environment

    check_run_name(options.run)
    asked = NewRun.asked(options)
    asked.check()
    with closing(open_replay(Connections.from_environment())) as replay:
        config = asked.configuration(options.run, replay)
        run = create_run(options.run, config, replay)
    print(f"run {run.name}: {run.task}, {len(run.state_names)} numbers a state, {run.physics}")
    print(f"  sees {run.observation}, learns for {run.reward}")
    if config.environment.draws:
        scored = scored_environment(config).physics_settings.name
        print(f"  every episode of the rollouts is integrated in its own way; scores are made on {scored}")
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

    with Session(options.run, options.process or "learner") as session:
        learner = train_run(session.run, session.config, session.replay, session.store, session.telemetry, stop)
        log.info("stopped after %d updates", learner.updates)


def add_processes(commands: Any) -> None:
    """Adds them to the sub-parsers of `python -m agents`."""
    add_options(add_command(commands, create))
    worker = add_command(commands, rollout)
    worker.add_argument("--worker", type=int, default=0, metavar="K", help="its place on the noise ladder, from 0")
    worker.add_argument("--workers", type=int, default=1, metavar="N", help="how many workers share the ladder")
    worker.add_argument("--episodes", type=int, metavar="N", help="stop after so many")
    explorer = add_command(commands, explore)
    explorer.add_argument("--timesteps", type=int, metavar="N", help="in the log of the run when done")
    add_command(commands, learn)
