"""A run that begins with what a version of another one knows, and goes on under settings of its own."""

from __future__ import annotations

from agents.build import contract_of
from agents.checkpoints.contract import Blob, CheckpointStore, Version
from agents.config import RunConfig
from agents.ddpg.mean_actor import led_by_mean
from agents.first_version import first_version, fresh_learner
from agents.policy import Policy
from agents.replay.contract import Replay
from agents.replay.runs import Run

BRANCHED = "branched"
"""Noted with the run: which version of which run it began with."""


def branch(
    run: Run, config: RunConfig, parent: str, number: int | None, replay: Replay, store: CheckpointStore, process: str
) -> tuple[Version, Version]:
    """Publishes the run's first version, with the networks, targets, optimisers and normaliser of the parent's version
    `number` (None: its newest); updates count from 0. A mean of the parent's actor goes on, too; where the run keeps
    none, the actor begins as that mean: it is what was scored. Returns the version, and the parent's.

    Raises: PolicyMismatch when the parent's policy may not act in the run; ValueError when its networks or algorithm
    are others, or the run has versions already; CheckpointMissing; CheckpointCorrupt; RunIsTaken.
    """
    source, policy = store.load(parent, "policy", number)
    Policy.from_blob(policy, version=source.number).check(contract_of(run, config))
    _, state = store.load(parent, "learner", source.number)

    with first_version(run, config, replay, store, process) as publish:
        learner = fresh_learner(run, config, replay)
        tensors = led_by_mean(state.tensors) if learner.algorithm.mean is None else state.tensors
        learner.roll_back(_from_the_start(Blob(tensors, state.metadata)))
        version = publish(learner, {})
    updates = source.metadata.get("updates")
    replay.event(run.name, process, BRANCHED, parent=parent, version=source.number, updates=updates)
    return version, source


def _from_the_start(state: Blob) -> Blob:
    """The same with its updates counted from 0: schedules begin anew, and so does what the limiter counts."""
    algorithm = dict(state.metadata.get("algorithm", {}))
    return Blob(state.tensors, dict(state.metadata) | {"algorithm": algorithm | {"updates": 0}})
