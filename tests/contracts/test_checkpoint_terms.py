"""A learner that lost its run can not publish any more, wherever it was stopped and however late it goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agents.checkpoints.contract import CheckpointConflict, Version
from agents.checkpoints.memory import MemoryObjects
from agents.checkpoints.objects import Objects
from agents.checkpoints.s3 import S3Objects
from agents.checkpoints.store import VersionedCheckpoints
from tests.contracts.checkpoint_samples import (
    Died,
    Watched,
    assert_equal_to_the_bit,
    interrupted,
    learner_blob,
    policy_blob,
)

RUN = "walk-1"
WRITES = ["policy.safetensors", "learner.safetensors", "manifest.json", "latest.json"]


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.s3)])
def objects(request: pytest.FixtureRequest) -> Iterator[Objects]:
    found: Objects = MemoryObjects() if request.param == "memory" else S3Objects(request.getfixturevalue("s3_bucket"))
    yield found
    found.close()


def publish(store: VersionedCheckpoints, number: int, term: int | None) -> Version:
    return store.publish(RUN, policy_blob(number), learner_blob(number), {"number": number}, term=term)


def newest(objects: Objects) -> Version | None:
    """As somebody sees it who looks for the first time."""
    return VersionedCheckpoints(objects).latest(RUN)


def test_the_first_term_begins_with_version_1_and_goes_on(objects: Objects) -> None:
    store = VersionedCheckpoints(objects)
    assert store.open_term(RUN, 7) is None
    assert store.latest(RUN) is None
    assert [publish(store, number, 7).number for number in (1, 2, 3)] == [1, 2, 3]
    assert newest(objects) == store.latest(RUN)


def test_a_new_term_leaves_the_latest_version_what_it_is(objects: Objects) -> None:
    store = VersionedCheckpoints(objects)
    old = publish(store, 1, None)
    for term in (5, 6, 9):
        VersionedCheckpoints(objects).open_term(RUN, term)
        assert newest(objects) == old
        assert store.latest(RUN) == old
    assert objects.folders(f"runs/{RUN}/terms/") == ["00000009"], "terms that are over do not pile up"


def test_a_publisher_of_a_term_that_is_over_is_refused_and_told(objects: Objects) -> None:
    first, second = VersionedCheckpoints(objects), VersionedCheckpoints(objects)
    first.open_term(RUN, 3)
    publish(first, 1, 3)
    second.open_term(RUN, 4)
    with pytest.raises(CheckpointConflict, match="term 3 of run 'walk-1' is over: found term 4"):
        publish(first, 2, 3)
    with pytest.raises(CheckpointConflict, match="term 4 of run 'walk-1' can not begin: found term 4"):
        first.open_term(RUN, 4)


@pytest.mark.parametrize("heir_publishes", [False, True])
@pytest.mark.parametrize("write", WRITES)
def test_whatever_a_suspended_publisher_writes_late_is_not_the_latest(
    objects: Objects, write: str, heir_publishes: bool
) -> None:
    """It is stopped between its last look and a write, and wakes up when another learner has the run."""
    before = VersionedCheckpoints(objects)
    before.open_term(RUN, 1)
    old = publish(before, 1, 1)
    heir = VersionedCheckpoints(objects)
    published: list[Version] = []

    def lose_the_run() -> None:
        heir.open_term(RUN, 2)
        if heir_publishes:
            published.append(publish(heir, 10, 2))

    suspended = VersionedCheckpoints(interrupted(objects, "put", write, lose_the_run))
    reader = VersionedCheckpoints(objects)
    assert reader.latest(RUN) == old
    if write == "latest.json":
        publish(suspended, 2, 1)  # past all of its looks: it believes to have published
    else:
        with pytest.raises(CheckpointConflict, match="term 2 was opened meanwhile"):
            publish(suspended, 2, 1)

    expected = published[0] if heir_publishes else old
    for sees in (reader, heir, VersionedCheckpoints(objects)):
        assert sees.latest(RUN) == expected
        version, blob = sees.load(RUN, "policy")
        assert version == expected
        assert_equal_to_the_bit(blob, policy_blob(10 if heir_publishes else 1))
    following = publish(heir, 11, 2)
    assert newest(objects) == reader.latest(RUN) == following
    assert_equal_to_the_bit(reader.load(RUN, "learner", following.number)[1], learner_blob(11))


@pytest.mark.parametrize("write", WRITES[:3])
def test_an_upload_of_a_term_that_is_over_touches_no_version_of_the_next_one(objects: Objects, write: str) -> None:
    """Nothing was published yet, so that both would begin with number 1."""
    VersionedCheckpoints(objects).open_term(RUN, 1)
    heir = VersionedCheckpoints(objects)
    published: list[Version] = []

    def lose_the_run() -> None:
        heir.open_term(RUN, 2)
        published.append(publish(heir, 10, 2))

    with pytest.raises(CheckpointConflict):
        publish(VersionedCheckpoints(interrupted(objects, "put", write, lose_the_run)), 2, 1)
    _, blob = heir.load(RUN, "learner", published[0].number)
    assert_equal_to_the_bit(blob, learner_blob(10))


def test_a_listing_from_before_the_loss_takes_no_number_of_the_next_term(objects: Objects) -> None:
    """The publisher is stopped right after it listed the versions, before it looks at the term."""
    before = VersionedCheckpoints(objects)
    before.open_term(RUN, 1)
    publish(before, 1, 1)
    heir = VersionedCheckpoints(objects)
    listed = False

    def stop_after_the_listing(operation: str, name: str) -> None:
        nonlocal listed
        if operation == "get" and name == "latest.json" and not listed:
            listed = True
            heir.open_term(RUN, 2)
            publish(heir, 10, 2)

    with pytest.raises(CheckpointConflict, match="is over"):
        publish(VersionedCheckpoints(Watched(objects, stop_after_the_listing)), 2, 1)
    assert [version.metadata["number"] for version in heir.versions(RUN)] == [1, 10]


def test_a_reader_polls_with_one_request_in_a_term_too(objects: Objects) -> None:
    store = VersionedCheckpoints(objects)
    store.open_term(RUN, 1)
    publish(store, 1, 1)
    watched = Watched(objects)
    reader = VersionedCheckpoints(watched)
    first = reader.latest(RUN)
    watched.operations.clear()
    assert reader.latest(RUN) == first
    assert watched.operations == [("etag", "latest.json")]


def test_a_reader_that_waits_for_the_first_version_looks_at_nothing_that_is_being_written(objects: Objects) -> None:
    """A server may refuse to read what it is just replacing."""
    store = VersionedCheckpoints(objects)
    store.open_term(RUN, 1)
    watched = Watched(objects)
    reader = VersionedCheckpoints(watched)
    assert reader.latest(RUN) is None
    assert watched.operations == [("etag", "latest.json")]
    publish(store, 1, 1)
    assert reader.latest(RUN) == newest(objects)


@pytest.mark.parametrize("damage", [b"{", b""])
def test_a_damaged_pointer_is_mended_when_a_term_begins(objects: Objects, damage: bytes) -> None:
    store = VersionedCheckpoints(objects)
    store.open_term(RUN, 1)
    published = publish(store, 1, 1)
    objects.put(f"runs/{RUN}/latest.json", damage)
    assert newest(objects) == published, "of no account in a term"
    objects.put(f"runs/{RUN}/terms/00000001/latest.json", damage)
    assert VersionedCheckpoints(objects).open_term(RUN, 2) == published
    assert newest(objects) == published


def test_a_learner_that_dies_while_it_opens_a_term_does_no_harm(objects: Objects) -> None:
    store = VersionedCheckpoints(objects)
    store.open_term(RUN, 1)
    published = publish(store, 1, 1)

    def die(operation: str, name: str) -> None:
        if operation == "delete":
            raise Died

    with pytest.raises(Died):
        VersionedCheckpoints(Watched(objects, die)).open_term(RUN, 2)
    assert newest(objects) == published
    third = VersionedCheckpoints(objects)
    third.open_term(RUN, 3)
    assert newest(objects) == published
    assert publish(third, 2, 3) == newest(objects)
