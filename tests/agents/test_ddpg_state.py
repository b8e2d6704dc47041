"""Resuming, refusing, and what an algorithm's settings may be."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest

from agents.checkpoints.contract import Blob
from agents.ddpg import build_algorithm, build_config
from agents.experience import Batch
from tests.learning import EVERY_VARIANT, random_batch, same_tensors, small


@EVERY_VARIANT
def test_restored_algorithm_goes_on_bit_for_bit(name: str) -> None:
    settings = small(name, hidden=(40, 40), bins=11)
    straight = build_algorithm(name, 20, 4, settings=settings, seed=1)
    stopped = build_algorithm(name, 20, 4, settings=settings, seed=1)
    batches = [random_batch(seed, 32, 20, 4) for seed in range(100)]
    for batch in batches:
        straight.update(batch)
    # An odd number: the place within TD3's delay must be restored too.
    for batch in batches[:51]:
        stopped.update(batch)
    saved = stopped.state()
    stopped.update(batches[0])
    resumed = build_algorithm(name, 20, 4, settings=settings, seed=2)
    resumed.restore(Blob(saved.tensors, json.loads(json.dumps(saved.metadata))))
    for batch in batches[51:]:
        resumed.update(batch)

    assert resumed.updates == straight.updates == 100
    assert same_tensors(resumed.state(), straight.state())
    assert not same_tensors(saved, straight.state())


@EVERY_VARIANT
def test_restoring_before_the_first_update_works_too(name: str) -> None:
    straight = build_algorithm(name, 5, 3, settings=small(name), seed=1)
    resumed = build_algorithm(name, 5, 3, settings=small(name), seed=2)
    resumed.restore(straight.state())
    for algorithm in (straight, resumed):
        for seed in range(4):
            algorithm.update(random_batch(seed))

    assert same_tensors(straight.state(), resumed.state())


def test_restore_ignores_what_a_learner_adds_and_refuses_another_algorithm() -> None:
    td3 = build_algorithm("td3", 5, 3, settings={"hidden": (8,)})
    blob = td3.state()
    td3.restore(Blob({**blob.tensors, "normaliser/mean": np.zeros(5)}, {**blob.metadata, "watermarks": {"1": 2}}))

    for other in (
        build_algorithm("ddpg", 5, 3, settings={"hidden": (8,)}),
        build_algorithm("td3", 6, 3, settings={"hidden": (8,)}),
        build_algorithm("td3", 5, 3, settings={"hidden": (9,)}),
    ):
        before = other.state()
        with pytest.raises(ValueError, match=r"the blob holds .*'td3'.*needed"):
            other.restore(blob)
        assert same_tensors(before, other.state())
    with pytest.raises(ValueError, match="no algorithm"):
        td3.restore(Blob({}, {}))


@EVERY_VARIANT
def test_same_seed_gives_the_same_learner_and_another_seed_another(name: str) -> None:
    blobs = []
    for seed in (1, 1, 2):
        algorithm = build_algorithm(name, 5, 3, settings=small(name), seed=seed)
        algorithm.update(random_batch(0))
        blobs.append(algorithm.state())

    assert same_tensors(blobs[0], blobs[1])
    assert not same_tensors(blobs[0], blobs[2])


@pytest.mark.parametrize("field", ["observation", "reward", "next_observation", "weight"])
@EVERY_VARIANT
def test_non_finite_batch_is_refused_and_changes_no_network(name: str, field: str) -> None:
    algorithm = build_algorithm(name, 5, 3, settings=small(name))
    before = algorithm.state().tensors
    batch = random_batch(0)
    batch.discount[:] = 0.9
    getattr(batch, field)[2] = np.nan

    with pytest.raises(FloatingPointError, match="the critic loss is nan"):
        algorithm.update(batch)
    after = algorithm.state().tensors
    assert all(np.array_equal(before[key], after[key]) for key in before if key != "generator")
    assert algorithm.updates == 0


def test_update_accepts_read_only_columns() -> None:
    batch = random_batch(0)
    batch = dataclasses.replace(batch, number=np.arange(len(batch.reward)))
    for field in dataclasses.fields(Batch):
        getattr(batch, field.name).flags.writeable = False

    algorithm = build_algorithm("td3", 5, 3, settings={"hidden": (8,)})
    algorithm.update(batch)
    assert algorithm.updates == 1


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("sac", {}, "algorithm is 'sac', needed one of ddpg, td3, d4pg, tqc, redq, simba"),
        ("ddpg", {"policy_delay": 2}, "ddpg has no setting policy_delay; it has hidden"),
        ("td3", {"tau": 0.0}, "tau is 0.0"),
        ("td3", {"actor_lr": -1e-3}, "actor_lr is -0.001"),
        ("td3", {"critic_lr": math.nan}, "critic_lr is nan"),
        ("td3", {"hidden": (400, 0)}, r"hidden is \(400, 0\)"),
        ("td3", {"bins": 1}, "bins is 1"),
        ("td3", {"gradient_clip": 0.0}, "gradient_clip is 0.0"),
        ("td3", {"action_penalty": -0.1}, "action_penalty is -0.1"),
        ("td3", {"mean_updates": 0}, "mean_updates is 0"),
        ("td3", {"policy_delay": 0}, "policy_delay is 0"),
        ("td3", {"final_bound": 0.0}, "final_bound is 0.0"),
        ("td3", {"target_noise": -0.1}, "target_noise is -0.1"),
        ("d4pg", {"v_min": 3.0, "v_max": 3.0}, "v_min is 3.0, v_max 3.0, needed two finite numbers"),
        ("d4pg", {"v_max": math.inf}, "v_max inf"),
        ("d4pg", {"atoms": 1}, "atoms is 1, needed at least 2"),
        ("tqc", {"dropped": 25}, "dropped is 25 of 25 quantiles"),
        ("tqc", {"dropped": -1}, "dropped is -1 of 25"),
        ("tqc", {"critics": 0}, "critics is 0"),
        ("redq", {"subset": 11}, "subset is 11 of 10 critics"),
        ("redq", {"subset": 0}, "subset is 0 of 10 critics"),
        ("simba", {"hidden": (8, 9)}, r"hidden is \(8, 9\), needed the same width"),
        ("simba", {"critic_hidden": ()}, r"critic_hidden is \(\), needed the same width"),
        ("simba", {"critic_hidden": (0,)}, r"critic_hidden is \(0,\)"),
        ("simba", {"weight_decay": -0.1}, "weight_decay is -0.1"),
        ("simba", {"atoms": 1}, "atoms is 1"),
        ("simba", {"critic_norm": True}, "simba's networks are normalised as they are"),
    ],
)
def test_nonsense_is_refused_early(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_algorithm(name, 5, 3, settings=settings)


def test_settings_of_another_algorithm_are_refused() -> None:
    for name, other in (("td3", "ddpg"), ("td3", "tqc"), ("tqc", "td3"), ("d4pg", "ddpg"), ("sac", "td3")):
        kind = type(build_config(other)).__name__
        with pytest.raises(ValueError, match=f"algorithm is '{name}', its settings are a {kind}"):
            build_algorithm(name, 5, 3, settings=build_config(other))


@pytest.mark.parametrize(
    ("name", "stored", "changed"),
    [
        ("d4pg", {}, {"v_max": 50.0}),
        ("d4pg", {}, {"atoms": 51}),
        ("d4pg", {}, {"critic_norm": True}),
        ("d4pg", {"critic_norm": True}, {}),
        ("tqc", {}, {"critics": 4}),
        ("tqc", {}, {"quantiles": 24}),
        ("redq", {}, {"critics": 9}),
        ("simba", {}, {"critic_hidden": (8, 8)}),
        ("simba", {}, {"hidden": (8, 8)}),
        ("simba", {}, {"atoms": 101}),
        ("simba", {"atoms": 101}, {"atoms": 101, "v_min": -50.0}),
    ],
)
def test_critics_of_another_form_or_meaning_are_refused(
    name: str, stored: dict[str, Any], changed: dict[str, Any]
) -> None:
    blob = build_algorithm(name, 5, 3, settings=small(name, **stored)).state()
    other = build_algorithm(name, 5, 3, settings=small(name, **changed), seed=1)
    before = other.state()

    with pytest.raises(ValueError, match=f"the blob holds .*'{name}'.*needed"):
        other.restore(blob)
    assert same_tensors(before, other.state())


def test_defaults_are_the_papers_but_for_the_action_penalty() -> None:
    td3, ddpg = build_config("td3"), build_config("ddpg")

    assert dataclasses.asdict(td3) == {
        "hidden": (400, 300),
        "final_bound": 3e-3,
        "critic_norm": False,
        "actor_lr": 3e-4,
        "critic_lr": 3e-4,
        "tau": 0.005,
        "gradient_clip": None,
        "action_penalty": 0.1,
        "bins": None,
        "mean_updates": None,
        "lr_schedule": {
            "warmup_updates": 0,
            "decay": "constant",
            "decay_updates": None,
            "final": 0.1,
            "restart_updates": None,
        },
        "target_copy_updates": None,
        "precision": "float32",
        "policy_delay": 2,
        "target_noise": 0.2,
        "noise_clip": 0.5,
    }
    assert (ddpg.actor_lr, ddpg.critic_lr, ddpg.tau) == (1e-4, 1e-3, 0.001)
    assert own("d4pg", "ddpg") == {
        "actor_lr": 1e-4,
        "critic_lr": 1e-4,
        "tau": 0.01,
        "v_min": -100.0,
        "v_max": 100.0,
        "atoms": 101,
    }
    assert own("tqc", "td3") == {"policy_delay": 1, "critics": 5, "quantiles": 25, "dropped": 2}
    assert own("redq", "td3") == {"policy_delay": 20, "critics": 10, "subset": 2}
    assert own("simba", "td3") == {
        "hidden": (128,),
        "critic_hidden": (512, 512),
        "actor_lr": 1e-4,
        "critic_lr": 1e-4,
        "weight_decay": 0.01,
        "atoms": None,
        "v_min": -100.0,
        "v_max": 100.0,
    }


def own(name: str, of: str) -> dict[str, Any]:
    """The defaults in which a variant differs from the one it descends from; of rates, all its own."""
    base = dataclasses.asdict(build_config(of))
    rates = {"actor_lr", "critic_lr", "tau"} if name == "d4pg" else set()
    return {
        k: v for k, v in dataclasses.asdict(build_config(name)).items() if k in rates or k not in base or base[k] != v
    }
