"""The learner process: lease, resume, feeding, the training loop, publication."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Hashable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from agents.build import build_learner
from agents.checkpoints.contract import CheckpointCorrupt, CheckpointMissing, CheckpointStore, Version
from agents.config import RunConfig
from agents.confirmation import Facts, best_evaluation, comparable
from agents.evaluator import EVALUATED, EVALUATING
from agents.huge_pages import use_huge_pages
from agents.learner import Feeder, Learner, Stop, train
from agents.lease import Lease
from agents.publishing import Publisher
from agents.replay.contract import Replay
from agents.replay.runs import Run
from agents.rollback import Rollbacks
from agents.staleness import SampleAges
from agents.telemetry import Telemetry

log = logging.getLogger(__name__)

_SWITCH_S = 0.0005
"""A thread that wants Python waits so long for one that has it. Each of an update's hundred operations gives it away,
and the feeder has it all the time while it fills the mirror: with the default of 5 ms learning is a third slower."""


def train_run(
    run: Run, config: RunConfig, replay: Replay, store: CheckpointStore, telemetry: Telemetry, stop: Stop
) -> Learner:
    """Trains the run until `stop`, going on from its newest checkpoint.

    Raises: RunIsTaken when another learner holds the run; LeaseLost when one takes it over.
    """
    # The random part tells containers apart that have the same host name and process ids.
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    lease = Lease(replay, run.name, holder, seconds=config.learner.lease_seconds)
    lease.take()
    with ExitStack() as opened:
        opened.callback(lease.release)
        opened.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(_SWITCH_S)
        mended = store.open_term(run.name, lease.term)
        if mended is not None:
            replay.event(run.name, telemetry.process, "pointer_mended", version=mended.number)
        learner = _resumed(run, config, replay, store, telemetry)
        publisher = _publisher(run, config, replay, store, telemetry, learner, lease)
        opened.callback(publisher.close)
        feeder = Feeder(learner.mirror, replay, run.name)
        feeder.start()
        opened.callback(feeder.end)
        rollbacks = Rollbacks(run.name, replay, store, telemetry)
        while True:
            try:
                train(learner, feeder, publisher, lease, partial(_report, telemetry), stop)
                publisher.wait()
                break
            except FloatingPointError as error:
                rollbacks.go_back(learner, publisher, error)
    replay.event(run.name, telemetry.process, "learner_stopped", updates=learner.updates)
    return learner


def _resumed(run: Run, config: RunConfig, replay: Replay, store: CheckpointStore, telemetry: Telemetry) -> Learner:
    """The run's learner, where its newest whole checkpoint left it."""
    use_huge_pages()
    learner = build_learner(config, run, [replay.run(name) for name in config.replay.partitions])
    learner.ages = SampleAges(publications(replay, run.name))
    resume(learner, replay, store, run.name, telemetry)
    # The first copies take their memory anew, which the system clears page by page: a tenfold of the time. It is kept.
    learner.copies()
    return learner


def _publisher(
    run: Run,
    config: RunConfig,
    replay: Replay,
    store: CheckpointStore,
    telemetry: Telemetry,
    learner: Learner,
    lease: Lease,
) -> Publisher:
    def published(version: Version) -> None:
        learner.ages.published(version.number, time.time())
        telemetry.status(version=version.number)
        replay.event(run.name, telemetry.process, "published", version=version.number, **version.metadata)

    return Publisher(
        store,
        run.name,
        every_s=config.learner.publish_seconds,
        every_updates=config.learner.publish_updates,
        keep=config.learner.keep_versions,
        protected=lambda: kept_versions(replay, run.name),
        published=published,
        stored_updates=learner.updates,
        holder=lease.holder,
        term=lease.term,
    )


def _report(telemetry: Telemetry, facts: dict[str, Any], metrics: dict[str, float]) -> None:
    """What the loop tells now and then, into the status file and the curves."""
    telemetry.status(**facts, metrics=metrics)
    scalars = {f"learner/{name}": value for name, value in metrics.items()}
    told = ("updates_per_s", "waited_s", "mirror_timesteps", "publish_blocked_ms")
    rates = {f"learner/{name}": float(facts[name]) for name in told}
    telemetry.scalars(scalars | rates, facts["updates"])


def resume(learner: Learner, replay: Replay, store: CheckpointStore, run: str, telemetry: Telemetry) -> Version | None:
    """Restores the newest checkpoint that is whole; None when nothing was published yet.

    Raises: CheckpointCorrupt when there are versions but none of them is whole.
    """
    versions = store.versions(run)
    for candidate in reversed(versions):
        try:
            version, blob = store.load(run, "learner", candidate.number)
        except (CheckpointCorrupt, CheckpointMissing) as error:
            log.error("checkpoint %d is not used: %s", candidate.number, error)
            replay.event(run, telemetry.process, "checkpoint_not_used", version=candidate.number, reason=str(error))
            continue
        learner.restore(blob, replay, run)
        log.info("resumed version %d at %d updates", version.number, learner.updates)
        replay.event(run, telemetry.process, "resumed", version=version.number, updates=learner.updates)
        telemetry.status(version=version.number, resumed_from=version.number)
        return version
    if versions:
        raise CheckpointCorrupt(
            f"no checkpoint of run {run!r} is whole; train under another name or restore the bucket"
        )
    replay.event(run, telemetry.process, "learner_started", updates=0)
    return None


def publications(replay: Replay, run: str) -> Mapping[int, float]:
    """When each version of the run came out, in seconds since 1970."""
    return {int(event["details"]["version"]): event["time"].timestamp() for event in replay.events(run, "published")}


def kept_versions(replay: Replay, run: str) -> Sequence[int]:
    """What retention must keep: the best scored version for each simulator and set of seeds, and those being scored."""
    # The last two announced: a background evaluator's and one started by hand.
    scoring = {int(event["details"]["version"]) for event in replay.events(run, EVALUATING)[-2:]}
    return sorted({*best_versions(replay, run), *scoring})


def best_versions(replay: Replay, run: str) -> Sequence[int]:
    """The best version by what decides (see `confirmation.py`), one for each simulator, reference and set of seeds."""
    groups: dict[Hashable, list[Facts]] = {}
    for event in replay.events(run, EVALUATED):
        groups.setdefault(comparable(event["details"]), []).append(event["details"])
    return sorted({int(best["version"]) for alike in groups.values() if (best := best_evaluation(alike)) is not None})
