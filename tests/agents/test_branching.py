"""A run that goes on, under settings of its own, with what another one's version knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.branching import BRANCHED, branch
from agents.checkpoints.contract import CheckpointMissing
from agents.checkpoints.memory import MemoryCheckpoints
from agents.config import RunConfig
from agents.learner import Learner
from agents.plain import with_settings
from agents.policy import PolicyMismatch
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Run
from tests.runs import explore, fresh_learner, open_run, small_config

PARENT, CHILD = "parent", "child"


@pytest.fixture
def replay() -> MemoryReplay:
    return MemoryReplay()


@pytest.fixture
def store() -> MemoryCheckpoints:
    return MemoryCheckpoints()


def trained(replay: MemoryReplay, store: MemoryCheckpoints) -> Learner:
    """The parent after 30 updates, its version 2; version 1 was after 10."""
    config = small_config()
    run = open_run(replay, config, PARENT)
    explore(replay, config, run, 300)
    learner = fresh_learner(config, run)
    learner.mirror.follow(replay, PARENT)
    for updates in (10, 20):
        for _ in range(updates):
            learner.learn()
        store.publish(PARENT, *learner.copies(), {"updates": learner.updates})
    return learner


def child(replay: MemoryReplay, **settings: Any) -> tuple[Run, RunConfig]:
    config = RunConfig.of(with_settings(small_config().plain(), settings))
    return open_run(replay, config, CHILD), config


def test_a_branch_begins_with_networks_optimisers_and_normaliser_of_the_version(
    replay: MemoryReplay, store: MemoryCheckpoints
) -> None:
    parent = trained(replay, store)
    run, config = child(replay, **{"environment.late_targets": 0.5, "learner.seed": 9, "replay.n_step": 3})
    version, source = branch(run, config, PARENT, None, replay, store, "p")
    assert (version.run, version.number, source.number) == (CHILD, 1, 2)
    found, wanted = store.load(CHILD, "learner", 1)[1], parent.state()
    named = [name for name in wanted.tensors if not name.startswith("mirror/")]
    assert len(named) > 40
    for name in named:
        assert np.array_equal(found.tensors[name], wanted.tensors[name]), name
    assert (found.metadata["algorithm"]["updates"], wanted.metadata["algorithm"]["updates"]) == (0, 30)
    assert np.array_equal(store.load(CHILD, "policy", 1)[1].tensors["normaliser/mean"], parent.normaliser.frozen().mean)
    (event,) = replay.events(CHILD, BRANCHED)
    assert event["details"] == {"parent": PARENT, "version": 2, "updates": 30}
    (published,) = replay.events(CHILD, "published")
    assert published["details"]["version"] == 1


def test_a_learner_goes_on_from_a_branch_with_its_own_timesteps(replay: MemoryReplay, store: MemoryCheckpoints) -> None:
    trained(replay, store)
    run, config = child(replay)
    branch(run, config, PARENT, 1, replay, store, "p")
    learner = fresh_learner(config, run, seed=11)
    learner.restore(store.load(CHILD, "learner", 1)[1], replay, CHILD)
    assert (learner.updates, learner.mirror.transitions) == (0, 0)
    explore(replay, config, run, 300)
    learner.mirror.follow(replay, CHILD)
    before = learner.algorithm.state().tensors
    learner.learn()
    learner.learn()
    after = learner.algorithm.state().tensors
    assert learner.updates == 2
    assert any(not np.array_equal(before[name], after[name]) for name in before if name.startswith("actor"))


@pytest.mark.parametrize(
    ("settings", "refused", "reason"),
    [
        ({"environment.observation": "original"}, PolicyMismatch, "another observation"),
        ({"environment.frame_skip": 2}, PolicyMismatch, "frame skip was changed"),
        ({"algorithm.settings": {"hidden": [16, 16]}}, ValueError, "needed"),
        ({"algorithm.name": "ddpg"}, ValueError, "was the run's algorithm"),
    ],
)
def test_what_does_not_fit_the_run_is_refused_and_nothing_is_published(
    replay: MemoryReplay, store: MemoryCheckpoints, settings: dict[str, Any], refused: type[Exception], reason: str
) -> None:
    trained(replay, store)
    run, config = child(replay, **settings)
    with pytest.raises(refused, match=reason):
        branch(run, config, PARENT, None, replay, store, "p")
    assert not store.versions(CHILD)
    assert replay.lease_holder(CHILD) is None


def test_a_run_with_versions_and_a_parent_without_the_version_are_refused(
    replay: MemoryReplay, store: MemoryCheckpoints
) -> None:
    trained(replay, store)
    run, config = child(replay)
    with pytest.raises(CheckpointMissing):
        branch(run, config, PARENT, 7, replay, store, "p")
    branch(run, config, PARENT, 1, replay, store, "p")
    with pytest.raises(ValueError, match="this is what a run begins with: make another run"):
        branch(run, config, PARENT, 1, replay, store, "p")
