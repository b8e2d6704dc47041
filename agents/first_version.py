"""A run's first version, published before any learner has trained it: a learner goes on from it, and until then workers
play it."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from agents.build import build_learner
from agents.checkpoints.contract import CheckpointStore, Version
from agents.config import RunConfig
from agents.learner import Learner
from agents.lease import Lease
from agents.replay.contract import Replay
from agents.replay.runs import Run

Facts = Mapping[str, Any]


def fresh_learner(run: Run, config: RunConfig, replay: Replay) -> Learner:
    """As the run's own, on the CPU; its memory holds nothing."""
    config = replace(config, learner=replace(config.learner, device="cpu"))
    return build_learner(config, run, [replay.run(name) for name in config.replay.partitions])


@contextmanager
def first_version(
    run: Run, config: RunConfig, replay: Replay, store: CheckpointStore, process: str
) -> Iterator[Callable[[Learner, Facts], Version]]:
    """Gives what publishes a learner, with its metrics, as the run's first version; the run is held meanwhile.

    Raises: ValueError when the run has versions already; RunIsTaken when a learner holds it.
    """
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    lease = Lease(replay, run.name, holder, seconds=config.learner.lease_seconds)
    lease.take()

    def publish(learner: Learner, metrics: Facts) -> Version:
        policy, state = learner.copies()
        facts = {"updates": 0, "timesteps": 0, "metrics": dict(metrics), "learner": holder}
        version = store.publish(run.name, policy, state, facts, term=lease.term)
        replay.event(run.name, process, "published", version=version.number, **version.metadata)
        return version

    try:
        store.open_term(run.name, lease.term)
        if store.versions(run.name):
            raise ValueError(
                f"run {run.name!r} has published versions, and this is what a run begins with: make another run"
            )
        yield publish
    finally:
        lease.release()
