"""What a worker acts with: the newest published policy that fits, and the last good one whatever the store does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any, Self

import numpy as np
import pytest

from agents.checkpoints.contract import Blob, CheckpointStoreUnavailable, Part, Version
from agents.checkpoints.memory import MemoryCheckpoints
from agents.checkpoints.objects import StoredObject
from agents.networks import Actor
from agents.normalisation import Normaliser
from agents.policies import FixedPolicy, PublishedPolicies
from agents.policy import Policy, PolicyContract, RandomPolicy
from tests.clock import Clock

CONTRACT = PolicyContract(
    layout_sha256="1" * 64,
    observation="compact/1",
    observation_size=3,
    action_size=2,
    frame_skip=4,
    bins=None,
    action_names=("a", "b"),
    task="prosthetics-round2",
)
LAST_BIAS = "body.final.bias"
NOTHING = np.zeros(3, np.float32)


def policy_blob(contract: PolicyContract = CONTRACT, *, push: float = 0.5) -> Blob:
    """Of a policy that always answers tanh(`push`)."""
    actor = Actor(contract.observation_size, contract.action_size, (4,))
    for name, parameter in actor.named_parameters():
        parameter.data.fill_(push if name == LAST_BIAS else 0.0)
    normaliser = Normaliser(np.zeros(3, np.float32), np.ones(3, np.float32), 5.0)
    return Policy(actor, normaliser, contract, version=0).to_blob()


class Away(MemoryCheckpoints):
    """A store that can be out of reach."""

    away = False
    loads = 0

    def load(self, run: str, part: Part, number: int | None = None) -> tuple[Version, Blob]:
        self.loads += 1
        return super().load(run, part, number)

    def latest(self, run: str) -> Version | None:
        if self.away:
            raise CheckpointStoreUnavailable("away")
        return super().latest(run)


class Acting:
    """Policies of a run in a store of their own, with what they noted."""

    def __init__(self) -> None:
        self.store = Away()
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.first = RandomPolicy(CONTRACT, np.random.default_rng(0))
        self.policies = PublishedPolicies(self.store, "run", CONTRACT, self.first, self._note)

    def publish(self, blob: Blob | None = None) -> int:
        return self.store.publish("run", blob or policy_blob(), Blob({}, {}), {}).number

    def damage(self, number: int, part: str = "policy.safetensors") -> None:
        objects: Any = self.store._objects
        key = f"runs/run/versions/{number:08d}/{part}"
        data = bytearray(objects.get(key).data)
        data[len(data) // 2] ^= 1
        objects.put(key, bytes(data))

    def kinds(self) -> list[tuple[str, int]]:
        return [(kind, details["version"]) for kind, details in self.notes]

    def _note(self, kind: str, **details: Any) -> None:
        self.notes.append((kind, details))


@pytest.fixture
def acting() -> Acting:
    return Acting()


def test_random_actions_until_the_first_version(acting: Acting) -> None:
    assert acting.policies.latest() is acting.first
    assert acting.notes == []
    assert acting.publish() == 1
    assert acting.policies.latest().version == 1


def test_the_newest_version_acts_and_each_change_is_noted_once(acting: Acting) -> None:
    acting.publish(policy_blob(push=0.5))
    np.testing.assert_allclose(acting.policies.latest()(NOTHING), np.tanh([0.5, 0.5]), rtol=1e-6)
    acting.publish()
    acting.publish(policy_blob(push=-2.0))
    policy = acting.policies.latest()
    assert policy.version == 3
    assert acting.policies.latest() is acting.policies.latest() is policy
    np.testing.assert_allclose(policy(NOTHING), np.tanh([-2.0, -2.0]), rtol=1e-6)
    ages_s = [details.pop("age_s") for _, details in acting.notes]
    assert acting.notes == [
        ("policy_refreshed", {"version": 1, "before": 0}),
        ("policy_refreshed", {"version": 3, "before": 1}),
    ]
    assert all(0.0 <= age_s < 120.0 for age_s in ages_s)


def test_a_change_of_policy_tells_how_long_ago_it_was_published(
    acting: Acting, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting.publish()
    published = acting.store.versions("run")[0].published

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp((published + timedelta(seconds=2.5)).timestamp(), tz)

    monkeypatch.setattr("agents.policies.datetime", Later)
    acting.policies.latest()
    assert acting.notes == [("policy_refreshed", {"version": 1, "before": 0, "age_s": 2.5})]


def test_nothing_is_downloaded_while_nothing_is_new(acting: Acting) -> None:
    acting.publish()
    acting.policies.latest()
    for _ in range(5):
        acting.policies.latest()
    assert acting.store.loads == 1
    acting.publish()
    acting.policies.latest()
    assert acting.store.loads == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layout_sha256": "2" * 64}, "layout_sha256"),
        ({"frame_skip": 1}, "frame_skip is 1, needed 4"),
        ({"action_names": ("b", "a")}, "another order"),
        ({"bins": 2}, "bins"),
    ],
)
def test_a_policy_made_for_elsewhere_is_refused_once_and_the_last_good_one_acts_on(
    acting: Acting, changes: Mapping[str, Any], words: str
) -> None:
    acting.publish()
    acting.policies.latest()
    acting.publish(policy_blob(dataclasses.replace(CONTRACT, **changes)))
    for _ in range(3):
        assert acting.policies.latest().version == 1
    assert acting.kinds() == [("policy_refreshed", 1), ("policy_refused", 2)]
    details = acting.notes[-1][1]
    assert details["kept"] == 1
    assert words in details["reason"]
    acting.publish()
    assert acting.policies.latest().version == 3
    assert acting.kinds()[-1] == ("policy_refreshed", 3)


def test_each_refused_version_is_noted(acting: Acting) -> None:
    wrong = policy_blob(dataclasses.replace(CONTRACT, task="other"))
    for number in (1, 2):
        acting.publish(wrong)
        assert acting.policies.latest() is acting.first
        assert acting.policies.latest() is acting.first
        assert acting.kinds()[-1] == ("policy_refused", number)
    assert len(acting.notes) == 2


def test_a_damaged_policy_is_refused_and_the_last_good_one_acts_on(acting: Acting) -> None:
    acting.publish()
    acting.policies.latest()
    acting.damage(acting.publish())
    assert acting.policies.latest().version == 1
    assert acting.policies.latest().version == 1
    assert acting.kinds() == [("policy_refreshed", 1), ("policy_refused", 2)]
    assert "is corrupt" in acting.notes[-1][1]["reason"]


def test_weights_that_are_not_finite_are_refused(acting: Acting) -> None:
    blob = policy_blob()
    name = next(name for name in blob.tensors if name.endswith("final.bias"))
    acting.publish(Blob({**blob.tensors, name: np.full(2, np.nan, np.float32)}, blob.metadata))
    assert acting.policies.latest() is acting.first
    assert acting.kinds() == [("policy_refused", 1)]
    assert "not finite" in acting.notes[-1][1]["reason"]


def test_something_else_than_a_policy_is_refused(acting: Acting) -> None:
    acting.publish(Blob({"x": np.zeros(1)}, {"format": "learner/1"}))
    assert acting.policies.latest() is acting.first
    assert acting.kinds() == [("policy_refused", 1)]


def test_a_store_that_is_away_costs_freshness_only(acting: Acting) -> None:
    acting.publish()
    acting.policies.latest()
    acting.store.away = True
    acting.publish()
    assert acting.policies.latest().version == 1
    acting.store.away = False
    assert acting.policies.latest().version == 2
    assert acting.kinds() == [("policy_refreshed", 1), ("policy_refreshed", 2)]


def test_a_version_that_vanished_is_asked_for_again(acting: Acting) -> None:
    acting.publish()
    acting.policies.latest()
    number = acting.publish()
    objects: Any = acting.store._objects
    key = f"runs/run/versions/{number:08d}/policy.safetensors"
    taken: StoredObject = objects.get(key)
    objects.delete(key)
    assert acting.policies.latest().version == 1
    objects.put(key, taken.data)
    assert acting.policies.latest().version == 2, "only out of reach for a moment, so not refused for good"
    assert acting.kinds() == [("policy_refreshed", 1), ("policy_refreshed", 2)]


@pytest.mark.parametrize("damaged", ["latest.json", "versions/00000002/manifest.json"])
def test_a_damaged_pointer_or_manifest_stops_nobody(acting: Acting, damaged: str) -> None:
    acting.publish()
    acting.policies.latest()
    acting.publish()
    objects: Any = acting.store._objects
    objects.put(f"runs/run/{damaged}", b"{")
    assert acting.policies.latest().version == 1


def test_a_fixed_policy_stays(acting: Acting) -> None:
    policies = FixedPolicy(acting.first)
    assert policies.latest() is policies.latest() is acting.first


def test_a_store_that_was_just_looked_at_is_not_looked_at_again(
    acting: Acting, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("agents.policies.time", clock)
    policies = PublishedPolicies(acting.store, "run", CONTRACT, acting.first, acting._note, look_every_s=0.5)
    assert policies.latest() is acting.first
    acting.publish()
    clock.sleep(0.4)
    assert policies.latest() is acting.first
    clock.sleep(0.1)
    assert policies.latest().version == 1
