from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from agents.checkpoints.contract import Blob
from agents.networks import Actor
from agents.normalisation import Normaliser, RunningNormaliser
from agents.policy import Policy, PolicyContract, PolicyMismatch, RandomPolicy

CONTRACT = PolicyContract(
    layout_sha256="ab" * 32,
    observation="compact/1",
    observation_size=12,
    action_size=3,
    frame_skip=4,
    bins=11,
    action_names=("abd_r", "add_r", "iliopsoas_r"),
    task="round2",
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def observations(rows: int = 64) -> NDArray[np.float32]:
    return rng(1).normal(5.0, 3.0, (rows, 12)).astype(np.float32)


def make_policy(contract: PolicyContract = CONTRACT, version: int = 3) -> tuple[Policy, Actor]:
    actor = Actor(12, 3, (16, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        actor.body.final.weight.mul_(300)
    normaliser = RunningNormaliser(12)
    normaliser.update(observations())
    return Policy(actor, normaliser.frozen(), contract, version=version), actor


def through_json(blob: Blob) -> Blob:
    return Blob(dict(blob.tensors), json.loads(json.dumps(blob.metadata)))


def test_policy_is_the_network_of_the_normalised_observation() -> None:
    policy, actor = make_policy()
    rows = observations()
    normalised = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    expected = actor(torch.from_numpy(normalised)).detach().numpy()

    actions = np.stack([policy(row) for row in rows])
    np.testing.assert_allclose(actions, expected, atol=1e-5)
    assert actions.dtype == np.float32
    assert np.abs(actions).max() > 0.2


def test_rows_and_batches_are_answered_alike() -> None:
    policy, _ = make_policy()
    rows = observations(5)

    np.testing.assert_allclose(policy(rows), np.stack([policy(row) for row in rows]), atol=1e-6)


@pytest.mark.parametrize("changes", [{}, {"frame_skip": (2, 6)}, {"bins": None}])
def test_policy_from_a_blob_acts_bit_for_bit_alike(changes: dict[str, Any]) -> None:
    policy, _ = make_policy(dataclasses.replace(CONTRACT, **changes))
    other = Policy.from_blob(through_json(policy.to_blob()), version=8)

    for row in observations():
        np.testing.assert_array_equal(policy(row), other(row))
    assert other.contract == policy.contract
    assert other.version == 8


def test_later_learning_does_not_change_a_policy_or_its_blob() -> None:
    policy, actor = make_policy()
    blob, probe = policy.to_blob(), observations(1)[0]
    before = policy(probe)
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.zero_()

    np.testing.assert_array_equal(policy(probe), before)
    np.testing.assert_array_equal(Policy.from_blob(blob, version=1)(probe), before)


def test_blob_of_another_format_is_refused() -> None:
    policy, _ = make_policy()
    blob = policy.to_blob()

    with pytest.raises(ValueError, match="format is 'policy/0', needed 'policy/1'"):
        Policy.from_blob(Blob(blob.tensors, {**blob.metadata, "format": "policy/0"}), version=1)


@pytest.mark.parametrize("part", ["contract", "hidden", "clip", "normaliser/mean", "actor/body.final.bias"])
def test_blob_without_one_of_its_parts_is_refused(part: str) -> None:
    blob = make_policy()[0].to_blob()
    tensors = {name: array for name, array in blob.tensors.items() if name != part}
    metadata = {name: value for name, value in blob.metadata.items() if name != part}

    with pytest.raises(ValueError, match=part):
        Policy.from_blob(Blob(tensors, metadata), version=1)


@pytest.mark.parametrize(
    ("changes", "found", "needed", "cause"),
    [
        ({"layout_sha256": "cd" * 32}, "abab", "cdcd", "another model file"),
        ({"observation": "compact/2"}, "'compact/1'", "'compact/2'", "another version"),
        ({"observation_size": 13}, "12", "13", "another observation"),
        ({"frame_skip": (1, 4)}, "4", r"\(1, 4\)", "frame skip was changed"),
        ({"bins": None}, "11", "None", "bins were changed"),
        ({"action_names": ("add_r", "abd_r", "iliopsoas_r")}, "'abd_r'", "'add_r'", "another order"),
        ({"task": "round1"}, "'round2'", "'round1'", "another run"),
    ],
)
def test_mismatch_is_refused_with_found_needed_and_cause(
    changes: dict[str, Any], found: str, needed: str, cause: str
) -> None:
    policy, _ = make_policy()
    other = dataclasses.replace(CONTRACT, **changes)
    field = next(iter(changes))

    with pytest.raises(PolicyMismatch, match=f"{field} is .*{found}.*needed .*{needed}.*{cause}"):
        policy.check(other)
    policy.check(other, ignore=(field,))
    policy.check(CONTRACT)


def test_every_difference_is_named_at_once() -> None:
    needed = PolicyContract(
        layout_sha256="x",
        observation="y/1",
        observation_size=1,
        action_size=1,
        frame_skip=1,
        bins=None,
        action_names=("m",),
        task="z",
        clock=(1.0, 0.5),
    )
    policy, _ = make_policy()

    with pytest.raises(PolicyMismatch) as refused:
        policy.check(needed)
    assert all(f"{field.name} is" in str(refused.value) for field in dataclasses.fields(PolicyContract))


@pytest.mark.parametrize(
    "changes",
    [
        {"frame_skip": 0},
        {"frame_skip": (4, 2)},
        {"bins": 1},
        {"action_names": ("abd_r",)},
        {"observation_size": 0},
    ],
)
def test_contract_refuses_nonsense(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needed"):
        dataclasses.replace(CONTRACT, **changes)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_observation_is_refused_and_named(bad: float) -> None:
    policy, _ = make_policy()
    row = observations(1)[0]
    row[7] = bad

    with pytest.raises(FloatingPointError, match=r"features \[7\] are not finite"):
        policy(row)


def test_non_finite_weights_make_no_policy() -> None:
    _, actor = make_policy()
    with torch.no_grad():
        actor.body.final.bias[1] = float("nan")

    with pytest.raises(FloatingPointError, match=r"body\.final\.bias are not finite"):
        Policy(actor, Normaliser.identity(12), CONTRACT, version=1)


def test_overflowing_weights_raise_instead_of_acting() -> None:
    _, actor = make_policy()
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.copy_(torch.full_like(parameter, 1e38))
        actor.body.final.weight[:, ::2] = -1e38
    policy = Policy(actor, Normaliser.identity(12), CONTRACT, version=5)

    with pytest.raises(FloatingPointError, match=r"policy version 5 .* weights overflow"):
        policy(np.full(12, 9.0, np.float32))


def test_observation_of_another_width_is_refused() -> None:
    policy, _ = make_policy()

    with pytest.raises(ValueError, match=r"shape \(13,\), the policy needs \(12,\)"):
        policy(np.zeros(13, np.float32))


def test_actor_that_does_not_fit_the_contract_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sizes \(12, 12, 2\), the contract needs \(12, 12, 3\)"):
        Policy(Actor(12, 2, (4,)), Normaliser.identity(12), CONTRACT, version=1)


def test_random_policy_is_version_0_and_uniform() -> None:
    policy = RandomPolicy(CONTRACT, rng())
    actions = np.stack([policy(observations(1)[0]) for _ in range(5000)])

    assert policy.version == 0
    assert actions.dtype == np.float32
    assert np.abs(actions).max() <= 1.0
    assert actions.var() == pytest.approx(1 / 3, rel=0.03)
    with pytest.raises(PolicyMismatch, match="task"):
        policy.check(dataclasses.replace(CONTRACT, task="round1"))


def residual_policy() -> Policy:
    actor = Actor(12, 3, (16, 16), network="residual", generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        actor.body.final.weight.mul_(300)
    return Policy(actor, Normaliser.identity(12), CONTRACT, version=3)


def test_policy_of_another_network_survives_its_blob_bit_for_bit() -> None:
    policy = residual_policy()
    other = Policy.from_blob(through_json(policy.to_blob()), version=8)

    for row in observations():
        np.testing.assert_array_equal(policy(row), other(row))


def test_blob_from_before_networks_had_names_still_acts() -> None:
    policy, _ = make_policy()
    blob = policy.to_blob()
    old = Blob(blob.tensors, {name: value for name, value in blob.metadata.items() if name != "network"})

    for row in observations():
        np.testing.assert_array_equal(policy(row), Policy.from_blob(through_json(old), version=8)(row))


def test_blob_of_an_unknown_or_another_network_is_refused() -> None:
    blob = residual_policy().to_blob()

    with pytest.raises(ValueError, match="the network is 'transformer', needed one of mlp, residual"):
        Policy.from_blob(Blob(blob.tensors, {**blob.metadata, "network": "transformer"}), version=1)
    with pytest.raises(ValueError, match=r"actor/body\.hidden\.0\.weight is missing"):
        Policy.from_blob(Blob(blob.tensors, {**blob.metadata, "network": "mlp"}), version=1)


def test_random_policy_answers_many_observations_at_once() -> None:
    policy = RandomPolicy(CONTRACT, rng())
    actions = policy(observations(7))
    assert actions.shape == (7, 3)
    assert actions.dtype == np.float32
    assert len(np.unique(actions)) == 21
