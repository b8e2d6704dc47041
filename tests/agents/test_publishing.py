"""When a version is published, and what a store that fails costs the learner."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from agents.checkpoints.contract import Blob, CheckpointConflict, CheckpointStoreUnavailable, Version
from agents.checkpoints.memory import MemoryCheckpoints
from agents.publishing import Publisher
from tests.clock import Clock
from tests.contracts.checkpoint_samples import policy_blob


class Slow(MemoryCheckpoints):
    """A store whose uploads wait for `go`, and fail with `failure`."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()
        self.failure: Exception | None = None

    def publish(
        self, run: str, policy: Blob, learner: Blob, metadata: Mapping[str, Any], *, term: int | None = None
    ) -> Version:
        self.begun.set()
        assert self.go.wait(60)
        if self.failure is not None:
            raise self.failure
        return super().publish(run, policy, learner, metadata, term=term)


@pytest.fixture
def store() -> Slow:
    return Slow()


@pytest.fixture
def make(store: Slow) -> Iterator[Callable[..., Publisher]]:
    made: list[Publisher] = []

    def publisher(
        every_s: float = 1000.0, every_updates: int | None = None, keep: int = 5, best: Sequence[int] = ()
    ) -> Publisher:
        made.append(
            Publisher(
                store,
                "run",
                every_s=every_s,
                every_updates=every_updates,
                keep=keep,
                protected=lambda: best,
                published=lambda version: None,
            )
        )
        return made[-1]

    yield publisher
    store.go.set()
    for one in made:
        one._thread.shutdown()


def publish(publisher: Publisher, updates: int) -> None:
    publisher.publish(lambda: blobs(updates), {"updates": updates})


def blobs(number: int) -> tuple[Blob, Blob]:
    """Both parts, of finite numbers."""
    return policy_blob(number), Blob({"weight": np.full(3, float(number))}, {"updates": number})


def numbers(store: MemoryCheckpoints) -> list[int]:
    return [version.number for version in store.versions("run")]


def test_the_first_publication_is_due_at_once(make: Callable[..., Publisher]) -> None:
    assert make().due(1)
    assert make(every_updates=100).due(1)


def test_publications_are_due_by_time(make: Callable[..., Publisher], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("agents.publishing.time", clock)
    publisher = make(every_s=30.0)
    publish(publisher, 1)
    publisher.wait()
    clock.sleep(29.0)
    assert not publisher.due(1_000_000)
    clock.sleep(1.0)
    assert publisher.due(1)
    publisher.close()


def test_publications_are_due_by_updates(make: Callable[..., Publisher]) -> None:
    publisher = make(every_updates=10)
    publish(publisher, 7)
    publisher.wait()
    assert not publisher.due(16)
    assert publisher.due(17)
    publisher.close()


def test_the_learner_does_not_wait_for_an_upload_and_does_not_overtake_it(
    make: Callable[..., Publisher], store: Slow
) -> None:
    publisher = make(every_s=0.01)
    store.go.clear()
    publish(publisher, 1)
    assert store.begun.wait(60)
    time.sleep(0.05)
    assert not publisher.due(1_000), "time is over, but the upload is not"
    assert numbers(store) == []
    store.go.set()
    publisher.wait()
    assert publisher.due(1_000)
    assert numbers(store) == [1]
    publisher.close()


def test_what_is_published_is_what_was_handed_over(make: Callable[..., Publisher], store: Slow) -> None:
    publisher = make()
    store.go.clear()
    metadata = {"updates": 3, "metrics": {"loss": 1.0}}
    publisher.publish(lambda: blobs(3), metadata)
    metadata["updates"] = 4
    store.go.set()
    publisher.close()
    latest = store.latest("run")
    assert latest is not None
    assert latest.metadata == {"updates": 3, "metrics": {"loss": 1.0}, "learner": ""}
    _, blob = store.load("run", "learner")
    assert blob.metadata["updates"] == 3


def test_a_store_that_is_away_costs_a_publication_and_not_the_learner(
    make: Callable[..., Publisher], store: Slow
) -> None:
    publisher = make(every_updates=10)
    store.failure = CheckpointStoreUnavailable("away")
    publish(publisher, 10)
    publisher.wait()
    assert (publisher.failures, numbers(store)) == (1, [])
    assert not publisher.due(19), "not at once: the learner would spend its time on uploads that fail"
    assert publisher.due(20)
    store.failure = None
    publish(publisher, 20)
    publisher.close()
    latest = store.latest("run")
    assert latest is not None
    assert (latest.number, latest.metadata["updates"]) == (1, 20)


def test_any_other_failure_surfaces_at_the_next_publication(make: Callable[..., Publisher], store: Slow) -> None:
    publisher = make(every_updates=1)
    store.failure = RuntimeError("two publishers")
    publish(publisher, 1)
    with pytest.raises(RuntimeError, match="two publishers"):
        publish(publisher, 2)


def test_any_other_failure_surfaces_at_the_end_and_the_thread_ends_as_well(
    make: Callable[..., Publisher], store: Slow
) -> None:
    publisher = make()
    store.failure = RuntimeError("two publishers")
    publish(publisher, 1)
    with pytest.raises(RuntimeError, match="two publishers"):
        publisher.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("publisher")]


def test_a_failure_of_who_hears_of_new_versions_surfaces(store: Slow) -> None:
    def published(version: Version) -> None:
        raise LookupError(f"version {version.number}")

    publisher = Publisher(store, "run", every_s=1.0, every_updates=None, keep=1, protected=list, published=published)
    publish(publisher, 1)
    with pytest.raises(LookupError, match="version 1"):
        publisher.close()


def test_retention_keeps_the_newest_and_the_best(make: Callable[..., Publisher], store: Slow) -> None:
    publisher = make(keep=2, best=[2])
    for updates in range(1, 7):
        publish(publisher, updates)
    publisher.close()
    assert numbers(store) == [2, 5, 6]


def test_every_new_version_is_told(store: Slow) -> None:
    told: list[int] = []
    publisher = Publisher(
        store,
        "run",
        every_s=1.0,
        every_updates=None,
        keep=1,
        protected=list,
        published=lambda version: told.append(version.number),
    )
    publish(publisher, 1)
    publish(publisher, 2)
    publisher.close()
    assert told == [1, 2]


def test_numbers_that_are_not_finite_are_never_published(make: Callable[..., Publisher], store: Slow) -> None:
    publisher = make(every_updates=1)
    publish(publisher, 1)
    publisher.wait()
    bad = Blob({"critic/weight": np.array([1.0, np.inf]), "steps": np.array([2])}, {"updates": 2})
    publisher.publish(lambda: (policy_blob(2), bad), {"updates": 2})
    with pytest.raises(FloatingPointError, match="1 arrays of the learner are not finite, the first is critic/weight"):
        publisher.wait()
    assert numbers(store) == [1]
    publish(publisher, 3)
    publisher.close()
    assert numbers(store) == [1, 2], "a failure is told once, and the learner that went back publishes again"


def test_only_the_copies_make_the_learner_stand_still(
    make: Callable[..., Publisher], store: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("agents.publishing.time", clock)
    publisher = make(every_s=10.0)
    store.go.clear()

    def copies(seconds: float) -> Callable[[], tuple[Blob, Blob]]:
        def take() -> tuple[Blob, Blob]:
            clock.sleep(seconds)
            return blobs(1)

        return take

    publisher.publish(copies(0.25), {"updates": 1})
    assert (publisher.blocked_ms, publisher.longest_blocked_ms) == (250.0, 250.0)
    assert store.begun.wait(60)
    clock.sleep(60.0)
    assert not publisher.due(1_000), "the upload hangs; the learner does not"
    store.go.set()
    publisher.wait()
    publisher.publish(copies(0.125), {"updates": 2})
    publisher.close()
    assert (publisher.blocked_ms, publisher.longest_blocked_ms) == (125.0, 250.0)


def told(store: Slow, *, holder: str, term: int) -> Publisher:
    return Publisher(
        store,
        "run",
        every_s=1000.0,
        every_updates=None,
        keep=5,
        protected=list,
        published=lambda version: None,
        holder=holder,
        term=term,
    )


def test_a_learner_that_was_replaced_meanwhile_never_overtakes_the_newer_one(store: Slow) -> None:
    store.open_term("run", 1)
    cut_off = told(store, holder="first", term=1)
    publish(cut_off, 1)
    cut_off.wait()
    store.open_term("run", 2)
    publish(cut_off, 2)
    with pytest.raises(CheckpointConflict, match="term 1 of run 'run' is over: found term 2, opened by another"):
        cut_off.close()
    assert numbers(store) == [1]

    heir = told(store, holder="second", term=2)
    publish(heir, 3)
    heir.close()
    newest = store.latest("run")
    assert newest is not None
    assert (newest.metadata["learner"], newest.metadata["updates"]) == ("second", 3)


def test_own_version_whose_answer_was_lost_is_no_conflict(store: Slow) -> None:
    store.open_term("run", 5)
    publisher = told(store, holder="first", term=5)
    store.publish("run", *blobs(1), {"learner": "first"}, term=5)
    publish(publisher, 2)
    publisher.close()
    newest = store.latest("run")
    assert newest is not None
    assert newest.number == 2
