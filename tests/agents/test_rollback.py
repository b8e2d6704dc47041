"""A learner that diverges: it goes back to what was good by itself, says why, and gives up when it does not help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.checkpoints.memory import MemoryCheckpoints
from agents.config import RunConfig
from agents.learner import Learner
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Run
from agents.telemetry import read_statuses
from agents.training import train_run
from tests.runs import RUN, explore, open_run, quiet_telemetry, small_config


class Diverging:
    """`Learner.learn`, but before its calls of these numbers (from 1) the critics are made infinite."""

    def __init__(self, *calls: int) -> None:
        self.calls = 0
        self._at = calls
        self._learn = Learner.learn
        self.drawn: dict[int, bytes] = {}
        """Call -> the generator that draws the batch."""

    def __call__(self, learner: Learner) -> None:
        self.calls += 1
        self.drawn[self.calls] = str(learner._generator.bit_generator.state).encode()
        if self.calls in self._at:
            algorithm: Any = learner.algorithm
            with torch.no_grad():
                for parameter in algorithm._critics.network.parameters():
                    parameter.fill_(np.inf)
        self._learn(learner)


@pytest.fixture
def replay() -> MemoryReplay:
    return MemoryReplay()


@pytest.fixture
def config() -> RunConfig:
    return small_config(publish_updates=10)


@pytest.fixture
def run(replay: MemoryReplay, config: RunConfig) -> Run:
    made = open_run(replay, config)
    explore(replay, config, made, 400)
    return made


def diverge(monkeypatch: pytest.MonkeyPatch, *calls: int) -> Diverging:
    made = Diverging(*calls)
    monkeypatch.setattr(Learner, "learn", lambda learner: made(learner))
    return made


def until(store: MemoryCheckpoints, versions: int) -> Callable[[], bool]:
    """Stops the learner; every upload is waited for, so that versions come at known updates."""

    def stop() -> bool:
        latest = store.latest(RUN)
        return latest is not None and latest.number >= versions

    return stop


def told(replay: MemoryReplay, kind: str) -> list[dict[str, Any]]:
    return [event["details"] for event in replay.events(RUN, kind)]


def test_a_diverged_learner_goes_on_from_the_last_good_version(
    run: Run, replay: MemoryReplay, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryCheckpoints()
    learning = diverge(monkeypatch, 100)
    learner = train_run(run, config, replay, store, quiet_telemetry(tmp_path), lambda: learning.calls >= 300)
    (diverged,), (back,) = told(replay, "diverged"), told(replay, "rolled_back")
    assert diverged["reason"] == back["reason"]
    assert "the critic loss is" in back["reason"]
    assert back["updates"] <= diverged["updates"] == 99
    assert learner.updates == back["updates"] + 300 - 100
    at = {event["version"]: event["updates"] for event in told(replay, "published")}
    assert at[back["version"]] == back["updates"]
    assert max(at.values()) == learner.updates > 99, "it publishes again"
    for version in store.versions(RUN):
        _, blob = store.load(RUN, "learner", version.number)
        assert all(np.isfinite(array).all() for array in blob.tensors.values())
    status = read_statuses(tmp_path)["test"]
    assert (status["rollbacks"], status["rolled_back_to"]) == (1, back["version"])
    assert told(replay, "learner_stopped") == [{"updates": learner.updates}]


def test_other_batches_are_drawn_after_a_rollback_than_before(
    run: Run, replay: MemoryReplay, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning = diverge(monkeypatch, 50)
    store = MemoryCheckpoints()
    train_run(run, config, replay, store, quiet_telemetry(tmp_path), lambda: learning.calls >= 120)
    assert len(told(replay, "rolled_back")) == 1
    assert len(set(learning.drawn.values())) == 120, "or what went wrong would go wrong again"


def test_a_learner_that_diverges_again_goes_further_back_and_gives_up_in_the_end(
    run: Run, replay: MemoryReplay, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryCheckpoints()
    # Two batches after each rollback: nothing new is published in between.
    learning = diverge(monkeypatch, *range(100, 120, 2))
    published: list[int] = []

    def stop() -> bool:
        if learning.calls < 99:
            published[:] = [version.number for version in store.versions(RUN)]
        return False

    with pytest.raises(FloatingPointError, match="the critic loss is"):
        train_run(run, config, replay, store, quiet_telemetry(tmp_path), stop)
    back = [event["version"] for event in told(replay, "rolled_back")]
    assert len(back) == 3
    assert back[0] > back[1] > back[2] >= 1
    assert len(told(replay, "diverged")) == 4
    assert replay.lease_holder(RUN) is None


def test_what_is_learned_after_going_far_back_is_published_though_the_store_has_states_of_more_updates(
    run: Run, replay: MemoryReplay, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryCheckpoints()
    learning = diverge(monkeypatch, 100, 102, 104)
    learner = train_run(run, config, replay, store, quiet_telemetry(tmp_path), lambda: learning.calls >= 107)
    published = [event["updates"] for event in told(replay, "published")]
    assert published[-1] == learner.updates < max(published)


def test_a_learner_that_diverges_before_it_has_published_ends(
    run: Run, replay: MemoryReplay, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryCheckpoints()
    diverge(monkeypatch, 1)
    with pytest.raises(FloatingPointError, match="the critic loss is"):
        train_run(run, config, replay, store, quiet_telemetry(tmp_path), lambda: False)
    assert len(told(replay, "diverged")) == 1
    assert told(replay, "rolled_back") == []
    assert store.latest(RUN) is None
    assert replay.lease_holder(RUN) is None


def test_networks_that_became_infinite_after_the_loss_are_not_published(
    run: Run, replay: MemoryReplay, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, learn = MemoryCheckpoints(), Learner.learn
    poisoned: list[int] = []

    def learn_and_break(learner: Learner) -> None:
        learn(learner)
        latest = store.latest(RUN)
        if latest is not None and latest.number == 2 and not poisoned:
            poisoned.append(learner.updates)
            algorithm: Any = learner.algorithm
            with torch.no_grad():
                algorithm._critics.target.body.final.bias.fill_(np.nan)

    monkeypatch.setattr(Learner, "learn", learn_and_break)
    train_run(run, config, replay, store, quiet_telemetry(tmp_path), until(store, 5))
    assert len(told(replay, "diverged")) == len(told(replay, "rolled_back")) == 1
    for version in store.versions(RUN):
        _, blob = store.load(RUN, "learner", version.number)
        assert all(np.isfinite(array).all() for array in blob.tensors.values())
