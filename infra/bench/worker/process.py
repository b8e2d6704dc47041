"""A rollout worker in a process and on a core of its own, as `python -m agents rollout` starts it; its checkpoint store
is in memory and has one policy, so that nothing but the worker and the database is measured."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from agents.build import contract_of
from agents.checkpoints.contract import Blob
from agents.checkpoints.memory import MemoryCheckpoints
from agents.config import RunConfig
from agents.networks import DEFAULT_HIDDEN, Actor
from agents.normalisation import Normaliser
from agents.policy import Policy
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Run
from agents.stopping import stop_on_signals
from agents.telemetry import Telemetry
from agents.worker import Rollouts


@dataclass(frozen=True, slots=True)
class Job:
    """What it is to do until it is asked to stop."""

    uri: str
    database: str
    run: str
    folder: str
    """Of its spools, status and curves."""
    core: int | None
    """Where it has to stay; None leaves that to the system."""


def policies_of(run: Run, config: RunConfig) -> MemoryCheckpoints:
    """A store with one published policy, of the default size and fresh weights."""
    contract, store = contract_of(run, config), MemoryCheckpoints()
    actor = Actor(contract.observation_size, contract.action_size, DEFAULT_HIDDEN)
    normaliser = Normaliser.identity(contract.observation_size)
    store.publish(run.name, Policy(actor, normaliser, contract, version=1).to_blob(), Blob({}, {}), {"updates": 0})
    return store


def main() -> None:
    """Works until SIGTERM."""
    job = Job(**json.load(sys.stdin))
    if job.core is not None:
        os.sched_setaffinity(0, {job.core})
    os.environ["DATA_DIR"] = job.folder
    stop = stop_on_signals()
    with (
        closing(MongoReplay(job.uri, job.database)) as log,
        closing(Telemetry(Path(job.folder), "worker")) as telemetry,
    ):
        run = log.run(job.run)
        config = RunConfig.of(run.config)
        Rollouts(run, config, log, policies_of(run, config), telemetry).work(0, 1, stop)


if __name__ == "__main__":
    main()
