"""What every checkpoint store must keep of its promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from agents.checkpoints.contract import (
    Blob,
    CheckpointConflict,
    CheckpointCorrupt,
    CheckpointMissing,
    CheckpointStore,
    Part,
)
from agents.checkpoints.memory import MemoryObjects
from agents.checkpoints.objects import Objects
from agents.checkpoints.s3 import S3Objects
from agents.checkpoints.store import VersionedCheckpoints
from tests.contracts.checkpoint_samples import (
    Died,
    Watched,
    assert_equal_to_the_bit,
    dying_after,
    interrupted,
    learner_blob,
    policy_blob,
)

RUN = "walk-1"
PARTS: list[Part] = ["policy", "learner"]


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.s3)])
def objects(request: pytest.FixtureRequest) -> Iterator[Objects]:
    found: Objects = MemoryObjects() if request.param == "memory" else S3Objects(request.getfixturevalue("s3_bucket"))
    yield found
    found.close()


@pytest.fixture
def store(objects: Objects) -> VersionedCheckpoints:
    return VersionedCheckpoints(objects)


def _publish(store: CheckpointStore, count: int = 1, run: str = RUN) -> None:
    for number in range(count):
        store.publish(run, policy_blob(number), learner_blob(number), {"updates": number})


def _key(number: int, name: str, run: str = RUN) -> str:
    return f"runs/{run}/versions/{number:08d}/{name}"


def _numbers(store: CheckpointStore) -> list[int]:
    return [version.number for version in store.versions(RUN)]


def _flip_a_byte(objects: Objects, key: str) -> None:
    stored = objects.get(key)
    assert stored is not None
    data = bytearray(stored.data)
    data[len(data) * 2 // 3] ^= 1
    objects.put(key, bytes(data))


def test_an_implementation_has_every_call_of_the_contract(store: VersionedCheckpoints) -> None:
    _: CheckpointStore = store  # for mypy: the signatures agree
    promised = [name for name in vars(CheckpointStore) if not name.startswith("_")]
    assert "publish" in promised
    assert [name for name in promised if not callable(getattr(store, name, None))] == []


def test_a_published_version_is_the_latest_and_comes_back_to_the_bit(store: VersionedCheckpoints) -> None:
    metadata = {"updates": 1500, "scores": {"round2": 8340.5, "best": None}}

    published = store.publish(RUN, policy_blob(), learner_blob(), metadata)

    assert (published.run, published.number, published.metadata) == (RUN, 1, metadata)
    assert published.published.tzinfo == UTC
    assert timedelta(0) <= datetime.now(UTC) - published.published < timedelta(seconds=30)
    assert store.latest(RUN) == published
    for part, needed in (("policy", policy_blob()), ("learner", learner_blob())):
        version, blob = store.load(RUN, part)  # type: ignore[arg-type]
        assert version == published
        assert_equal_to_the_bit(blob, needed)


def test_another_process_reads_what_was_published(store: VersionedCheckpoints, objects: Objects) -> None:
    published = store.publish(RUN, policy_blob(), learner_blob(), {"updates": 1})
    other = VersionedCheckpoints(objects)

    assert other.latest(RUN) == published
    assert_equal_to_the_bit(other.load(RUN, "learner")[1], learner_blob())


def test_nothing_is_latest_before_the_first_version(store: VersionedCheckpoints) -> None:
    assert store.latest(RUN) is None
    assert store.versions(RUN) == []
    assert store.retain(RUN, last=1) == []


def test_numbers_increase_and_a_reader_sees_each_new_version(store: VersionedCheckpoints, objects: Objects) -> None:
    reader = VersionedCheckpoints(objects)
    for number in range(1, 13):
        _publish(store)
        latest = reader.latest(RUN)
        assert latest is not None
        assert latest.number == number

    assert _numbers(store) == list(range(1, 13))


def test_every_version_can_be_loaded_by_its_number(store: VersionedCheckpoints) -> None:
    _publish(store, 3)

    for number in (1, 2, 3):
        version, blob = store.load(RUN, "policy", number)
        assert (version.number, version.metadata) == (number, {"updates": number - 1})
        assert_equal_to_the_bit(blob, policy_blob(number - 1))


def test_runs_and_prefixes_do_not_mix(store: VersionedCheckpoints, objects: Objects) -> None:
    _publish(store, 3)
    _publish(store, 2, run="walk-10")
    _publish(VersionedCheckpoints(objects, "elsewhere/deep"), 1)

    assert _numbers(store) == [1, 2, 3]
    assert len(store.versions("walk-10")) == 2
    assert len(VersionedCheckpoints(objects, "/elsewhere/deep/").versions(RUN)) == 1
    assert store.latest("walk") is None


def test_polling_an_unchanged_run_asks_for_no_object(store: VersionedCheckpoints, objects: Objects) -> None:
    _publish(store)
    watched = Watched(objects)
    reader = VersionedCheckpoints(watched)
    first = reader.latest(RUN)
    watched.operations.clear()

    assert reader.latest(RUN) == first
    assert watched.operations == [("etag", "latest.json")]


def test_the_pointer_is_written_last_and_the_manifest_before_it(objects: Objects) -> None:
    watched = Watched(objects)
    _publish(VersionedCheckpoints(watched))

    assert [name for operation, name in watched.operations if operation == "put"] == [
        "policy.safetensors",
        "learner.safetensors",
        "manifest.json",
        "latest.json",
    ]


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_crash_in_a_publication_leaves_the_former_version_latest(
    store: VersionedCheckpoints, objects: Objects, writes: int
) -> None:
    _publish(store)
    with pytest.raises(Died):
        _publish(VersionedCheckpoints(dying_after(objects, writes, "put")))

    restarted = VersionedCheckpoints(objects)
    latest = restarted.latest(RUN)
    assert latest is not None
    assert latest.number == 1
    assert_equal_to_the_bit(restarted.load(RUN, "learner")[1], learner_blob())
    assert _numbers(restarted) == ([1, 2] if writes == 3 else [1])
    assert restarted.publish(RUN, policy_blob(), learner_blob(), {}).number == (2 if writes == 0 else 3)


@pytest.mark.parametrize("part", PARTS)
def test_a_flipped_byte_in_a_part_is_refused(store: VersionedCheckpoints, objects: Objects, part: Part) -> None:
    _publish(store, 2)
    key = _key(2, f"{part}.safetensors")
    _flip_a_byte(objects, key)

    for number in (None, 2):
        with pytest.raises(CheckpointCorrupt, match=f"^{key} is corrupt: found .* its manifest says .* not used"):
            store.load(RUN, part, number)
    assert_equal_to_the_bit(store.load(RUN, part, 1)[1], policy_blob() if part == "policy" else learner_blob())


def test_a_part_cut_short_is_refused(store: VersionedCheckpoints, objects: Objects) -> None:
    _publish(store)
    stored = objects.get(_key(1, "policy.safetensors"))
    assert stored is not None
    objects.put(_key(1, "policy.safetensors"), stored.data[:-1])

    with pytest.raises(CheckpointCorrupt, match=f"found {len(stored.data) - 1} bytes .* says {len(stored.data)} bytes"):
        store.load(RUN, "policy")


def test_a_sound_part_of_another_version_is_refused(store: VersionedCheckpoints, objects: Objects) -> None:
    _publish(store, 2)
    other = objects.get(_key(1, "policy.safetensors"))
    assert other is not None
    objects.put(_key(2, "policy.safetensors"), other.data)

    with pytest.raises(CheckpointCorrupt, match="00000002/policy"):
        store.load(RUN, "policy")


def test_a_flipped_byte_in_the_latest_manifest_is_refused(store: VersionedCheckpoints, objects: Objects) -> None:
    _publish(store)
    _flip_a_byte(objects, _key(1, "manifest.json"))
    reader = VersionedCheckpoints(objects)

    with pytest.raises(CheckpointCorrupt, match=r"00000001/manifest.json is corrupt: .* runs/walk-1/latest.json says"):
        reader.latest(RUN)
    with pytest.raises(CheckpointCorrupt, match=r"manifest.json is corrupt"):
        reader.load(RUN, "policy")


@pytest.mark.parametrize("text", [b"", b"[]", b'{"format": 2}', b'{"format": 1, "number": "x"}', b"\xff"])
def test_a_broken_pointer_or_manifest_is_refused(store: VersionedCheckpoints, objects: Objects, text: bytes) -> None:
    _publish(store)
    objects.put(_key(1, "manifest.json"), text)
    with pytest.raises(CheckpointCorrupt, match=r"^runs/walk-1/versions/00000001/manifest.json: .* not used"):
        store.load(RUN, "policy", 1)

    objects.put("runs/walk-1/latest.json", text)
    with pytest.raises(CheckpointCorrupt, match=r"^runs/walk-1/latest.json: .* not used"):
        store.latest(RUN)


def test_a_rotten_manifest_hides_no_other_version(
    store: VersionedCheckpoints, objects: Objects, caplog: pytest.LogCaptureFixture
) -> None:
    _publish(store, 3)
    objects.put(_key(2, "manifest.json"), b"rotten")

    assert _numbers(store) == [1, 3]
    assert "version 2 of run walk-1 is left out: runs/walk-1/versions/00000002/manifest.json" in caplog.text
    assert store.retain(RUN, last=2) == [1]


def test_a_manifest_copied_from_another_run_is_refused(store: VersionedCheckpoints, objects: Objects) -> None:
    _publish(store)
    _publish(store, run="other")
    copied = objects.get(_key(1, "manifest.json", "other"))
    assert copied is not None
    objects.put(_key(1, "manifest.json"), copied.data)

    with pytest.raises(CheckpointCorrupt, match="found the manifest of version 1 of run 'other'"):
        store.load(RUN, "policy", 1)


def test_loading_from_an_empty_run_says_which_runs_exist(store: VersionedCheckpoints) -> None:
    _publish(store, run="first")
    _publish(store, run="second")

    with pytest.raises(CheckpointMissing, match=r"run 'walk-1' has no checkpoint yet; .*: first, second"):
        store.load(RUN, "policy")


def test_loading_an_unknown_version_says_which_exist(store: VersionedCheckpoints) -> None:
    _publish(store, 2)

    with pytest.raises(CheckpointMissing, match=r"no version 7\. Versions that exist: 1, 2$"):
        store.load(RUN, "policy", 7)


def test_an_object_deleted_by_hand_is_missed_by_its_name(store: VersionedCheckpoints, objects: Objects) -> None:
    _publish(store, 2)
    objects.delete(_key(2, "policy.safetensors"))
    with pytest.raises(CheckpointMissing, match=r"00000002/policy.safetensors is gone, but its manifest is there"):
        store.load(RUN, "policy")

    objects.delete(_key(2, "manifest.json"))
    with pytest.raises(CheckpointMissing, match=r"manifest.json is gone, but .*latest.json .* exist: 1$"):
        VersionedCheckpoints(objects).latest(RUN)


def test_retention_keeps_the_newest_and_those_asked_for(store: VersionedCheckpoints) -> None:
    _publish(store, 6)

    assert store.retain(RUN, last=2, keep=[2, 99]) == [1, 3, 4]
    assert _numbers(store) == [2, 5, 6]
    assert store.retain(RUN, last=2, keep=[2]) == []
    assert_equal_to_the_bit(store.load(RUN, "learner", 2)[1], learner_blob(1))
    assert store.publish(RUN, policy_blob(), learner_blob(), {}).number == 7


def test_retention_never_deletes_what_the_pointer_names(store: VersionedCheckpoints, objects: Objects) -> None:
    _publish(store, 2)
    with pytest.raises(Died):
        _publish(VersionedCheckpoints(dying_after(objects, 3, "put")))
    assert _numbers(store) == [1, 2, 3]

    assert store.retain(RUN, last=1) == [1]
    assert store.retain(RUN, last=0) == [3]
    assert store.load(RUN, "policy")[0].number == 2


def test_a_crash_in_the_retention_leaves_whole_versions_only(store: VersionedCheckpoints, objects: Objects) -> None:
    _publish(store, 2)
    with pytest.raises(Died):
        VersionedCheckpoints(dying_after(objects, 1, "delete")).retain(RUN, last=1)

    assert _numbers(store) == [2]
    assert store.retain(RUN, last=1) == [1]
    assert store.retain(RUN, last=1) == []


def test_retention_clears_old_leftovers_but_not_a_publication_in_progress(
    store: VersionedCheckpoints, objects: Objects
) -> None:
    with pytest.raises(Died):
        _publish(VersionedCheckpoints(dying_after(objects, 1, "put")))
    _publish(store)

    learner = VersionedCheckpoints(
        interrupted(objects, "put", "manifest.json", lambda: deleted.extend(store.retain(RUN, last=5)))
    )
    deleted: list[int] = []
    _publish(learner)

    assert deleted == [1]
    assert objects.get(_key(1, "policy.safetensors")) is None
    assert_equal_to_the_bit(store.load(RUN, "policy", 3)[1], policy_blob())


@pytest.mark.parametrize("damage", [b"{", b"", None], ids=["broken", "empty", "manifest-gone"])
def test_a_damaged_pointer_is_mended_and_the_run_goes_on(
    store: VersionedCheckpoints, objects: Objects, damage: bytes | None
) -> None:
    published = [store.publish("run", policy_blob(n), learner_blob(n), {"n": n}) for n in (1, 2)]
    if damage is None:
        objects.delete("runs/run/versions/00000002/manifest.json")
    else:
        objects.put("runs/run/latest.json", damage)
    with pytest.raises((CheckpointCorrupt, CheckpointMissing)):
        store.latest("run")

    whole = published[0] if damage is None else published[1]
    assert store.mend("run") == whole
    assert store.latest("run") == whole
    assert store.mend("run") is None
    assert store.publish("run", policy_blob(3), learner_blob(3), {}).number == 3


def test_a_sound_or_missing_pointer_is_left_alone(store: VersionedCheckpoints) -> None:
    assert store.mend("run") is None
    version = store.publish("run", policy_blob(1), learner_blob(1), {})
    assert store.mend("run") is None
    assert store.latest("run") == version


def test_a_negative_retention_is_refused(store: VersionedCheckpoints) -> None:
    with pytest.raises(ValueError, match="found last=-1"):
        store.retain(RUN, last=-1)


@pytest.mark.parametrize("name", ["manifest.json", "policy.safetensors"])
def test_a_reader_overtaken_by_the_retention_reads_the_newer_version(
    store: VersionedCheckpoints, objects: Objects, name: str
) -> None:
    _publish(store)

    def overtake() -> None:
        store.publish(RUN, policy_blob(5), learner_blob(5), {})
        assert store.retain(RUN, last=1) == [1]

    version, blob = VersionedCheckpoints(interrupted(objects, "get", name, overtake)).load(RUN, "policy")

    assert version.number == 2
    assert_equal_to_the_bit(blob, policy_blob(5))


@pytest.mark.parametrize("name", ["policy.safetensors", "learner.safetensors", "manifest.json"])
def test_the_slower_of_two_publishers_gives_up(store: VersionedCheckpoints, objects: Objects, name: str) -> None:
    _publish(store)
    slower = VersionedCheckpoints(interrupted(objects, "put", name, lambda: _publish(store)))
    if name == "manifest.json":
        # Past its last look before the manifest: it notices before it moves the pointer.
        expected = "version 3 was published meanwhile"
    else:
        expected = f"version {2 if name == 'policy.safetensors' else 3} was published meanwhile"

    with pytest.raises(CheckpointConflict, match=f"gave up version 2 of run 'walk-1': {expected}"):
        slower.publish(RUN, policy_blob(9), learner_blob(9), {})

    latest = store.latest(RUN)
    assert latest is not None
    assert latest.number == (2 if name == "policy.safetensors" else 3)


def test_two_publishers_with_one_number_are_told_apart_by_the_manifest(
    store: VersionedCheckpoints, objects: Objects
) -> None:
    """The other one stands between its manifest and its pointer."""

    def other() -> None:
        with pytest.raises(Died):
            _publish(VersionedCheckpoints(dying_after(objects, 3, "put")))

    with pytest.raises(CheckpointConflict, match="gave up version 1 of run 'walk-1': version 1 appeared meanwhile"):
        _publish(VersionedCheckpoints(interrupted(objects, "put", "policy.safetensors", other)))


@pytest.mark.parametrize("run", ["", ".", "..", "a/b", "../x", "-x", "a b", "a\n", "ü", "x" * 101])
def test_a_run_name_that_is_no_key_is_refused(store: VersionedCheckpoints, run: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.publish(run, policy_blob(), learner_blob(), {}),
        lambda: store.latest(run),
        lambda: store.load(run, "policy"),
        lambda: store.versions(run),
        lambda: store.retain(run, last=1),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="found run name"):
            call()


def test_what_can_not_be_stored_is_refused_before_anything_is_written(objects: Objects) -> None:
    watched = Watched(objects)
    store = VersionedCheckpoints(watched)

    with pytest.raises(ValueError, match="the metadata of version 1 of run 'walk-1' can not be stored as JSON"):
        store.publish(RUN, policy_blob(), learner_blob(), {"score": float("nan")})
    with pytest.raises(ValueError, match="the blob's metadata"):
        store.publish(RUN, policy_blob(), Blob({}, {"score": float("inf")}), {})
    assert "put" not in [operation for operation, _ in watched.operations]


def test_an_unknown_part_is_refused(store: VersionedCheckpoints) -> None:
    with pytest.raises(ValueError, match="found part 'critic', needed one of policy, learner"):
        store.load(RUN, "critic")  # type: ignore[arg-type]
