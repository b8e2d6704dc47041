"""The learner process: lease, resume, feeding, the training loop, publication."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Sequence
from typing import Any

from agents.build import build_learner
from agents.checkpoints.contract import CheckpointCorrupt, CheckpointStore, Version
from agents.config import RunConfig
from agents.evaluator import EVALUATED
from agents.learner import Feeder, Learner, Stop, train
from agents.publishing import Publisher
from agents.replay.contract import Replay, Run
from agents.telemetry import Telemetry

log = logging.getLogger(__name__)


class RunIsTaken(RuntimeError):
    """Another learner trains this run. Says who."""


def train_run(
    run: Run, config: RunConfig, replay: Replay, store: CheckpointStore, telemetry: Telemetry, stop: Stop
) -> Learner:
    """Trains the run until `stop`, going on from its newest checkpoint.

    Raises: RunIsTaken when another learner holds the run; LeaseLost when one takes it over.
    """
    holder = f"{socket.gethostname()}:{os.getpid()}"
    seconds = config.learner.lease_seconds
    take_lease(replay, run.name, holder, seconds, stop)
    process = telemetry.process

    def published(version: Version) -> None:
        telemetry.status(version=version.number)
        replay.event(run.name, process, "published", version=version.number, **version.metadata)

    def report(facts: dict[str, Any], metrics: dict[str, float]) -> None:
        telemetry.status(**facts, metrics=metrics)
        scalars = {f"learner/{name}": value for name, value in metrics.items()}
        rates = {f"learner/{name}": float(facts[name]) for name in ("updates_per_s", "waited_s", "mirror_timesteps")}
        telemetry.scalars(scalars | rates, facts["updates"])

    publisher = Publisher(
        store,
        run.name,
        every_s=config.learner.publish_seconds,
        every_updates=config.learner.publish_updates,
        keep=config.learner.keep_versions,
        protected=lambda: best_versions(replay, run.name),
        published=published,
    )
    learner = build_learner(config, run)
    feeder = Feeder(learner.mirror, replay, run.name)
    try:
        resume(learner, replay, store, run.name, telemetry)
        feeder.start()
        train(learner, feeder, publisher, lambda: replay.acquire_lease(run.name, holder, seconds=seconds), report, stop)
    finally:
        if feeder.is_alive():
            feeder.end()
        publisher.close()
        replay.release_lease(run.name, holder)
    replay.event(run.name, process, "learner_stopped", updates=learner.updates)
    return learner


def take_lease(replay: Replay, run: str, holder: str, seconds: float, stop: Stop) -> None:
    """Takes the right to train the run, waiting for a dead learner's lease to run out. Raises: RunIsTaken."""
    given_up_s = time.monotonic() + seconds + 2.0
    while not replay.acquire_lease(run, holder, seconds=seconds):
        if time.monotonic() >= given_up_s or stop():
            raise RunIsTaken(f"run {run!r} is trained by {replay.lease_holder(run)}; stop that learner first")
        log.info("waiting for the lease of %s", replay.lease_holder(run))
        time.sleep(1.0)


def resume(learner: Learner, replay: Replay, store: CheckpointStore, run: str, telemetry: Telemetry) -> Version | None:
    """Restores the newest checkpoint that is whole; None when nothing was published yet."""
    if store.latest(run) is None:
        replay.event(run, telemetry.process, "learner_started", updates=0)
        return None
    for candidate in reversed(store.versions(run)):
        try:
            version, blob = store.load(run, "learner", candidate.number)
        except CheckpointCorrupt as error:
            log.error("checkpoint %d is not used: %s", candidate.number, error)
            replay.event(run, telemetry.process, "checkpoint_corrupt", version=candidate.number, reason=str(error))
            continue
        learner.restore(blob, replay, run)
        log.info("resumed version %d at %d updates", version.number, learner.updates)
        replay.event(run, telemetry.process, "resumed", version=version.number, updates=learner.updates)
        telemetry.status(version=version.number, resumed_from=version.number)
        return version
    raise CheckpointCorrupt(f"no checkpoint of run {run!r} is whole; train it under another name or restore the bucket")


def best_versions(replay: Replay, run: str) -> Sequence[int]:
    """The evaluated version with the highest mean return, as a list of at most one."""
    scored = [(event["details"]["mean"], event["details"]["version"]) for event in replay.events(run, EVALUATED)]
    return [int(max(scored)[1])] if scored else []
