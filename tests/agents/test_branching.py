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


def trained(replay: MemoryReplay, store: MemoryCheckpoints, **settings: Any) -> Learner:
    """The parent after 30 updates, its version 2; version 1 was after 10."""
    config = RunConfig.of(with_settings(small_config().plain(), settings))
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


@pytest.mark.parametrize("keeps", [True, False])
def test_a_branch_goes_on_with_the_mean_or_begins_as_it(
    replay: MemoryReplay, store: MemoryCheckpoints, keeps: bool
) -> None:
    a_mean = {"algorithm.settings.mean_updates": 100}
    parent = trained(replay, store, **a_mean)
    for _ in range(2):
        parent.learn()
    store.publish(PARENT, *parent.copies(), {"updates": parent.updates})
    run, config = child(replay, **(a_mean if keeps else {}))
    branch(run, config, PARENT, 3, replay, store, "p")
    wanted, found = (store.load(of, "learner", number)[1].tensors for of, number in ((PARENT, 3), (CHILD, 1)))
    means = [name for name in wanted if name.startswith("actor/mean/")]
    assert means
    for name in means:
        assert not np.array_equal(wanted[name], wanted[name.replace("mean", "network")])
        for own in ["mean"] if keeps else ["network", "target"]:
            assert np.array_equal(found[name.replace("mean", own)], wanted[name])
    assert ("actor/mean_count" in found) == keeps
    assert not keeps or found["actor/mean_count"] == 32
    scored, was_scored = (store.load(of, "policy", n)[1].tensors for of, n in ((CHILD, 1), (PARENT, 3)))
    for name in scored:
        if name.startswith("actor/"):
            assert np.array_equal(scored[name], was_scored[name])


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
