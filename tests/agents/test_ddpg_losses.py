"""Losses, targets and whole updates against hand-worked numbers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from agents.ddpg import Algorithm, build_algorithm
from agents.ddpg.binning import binned, binned_straight_through
from agents.ddpg.losses import actor_loss, critic_loss, smoothed, value_target
from agents.experience import Batch
from environment.actions import binned as environment_binned
from tests.learning import EVERY_VARIANT, Arrays, linear, random_batch, same_tensors, small, with_arrays


def column(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


# A linear world of one observation s and one action a, two rows; the second row ends in a fall.
HAND_BATCH = Batch(
    observation=column(1, 2)[:, None],
    action=column(0.5, -0.5)[:, None],
    reward=column(1, 2),
    discount=column(0.9, 0.0),
    next_observation=column(1, 3)[:, None],
    policy_version=np.zeros(2, np.int64),
    weight=column(1.0, 0.5),
)
HAND_ARRAYS: Arrays = {
    **linear("actor/network/body", [[0.0]], [0.0]),
    **linear("actor/target/body", [[0.0]], [math.atanh(0.5)]),
    **linear("critic/network/bodies.0", [[1.0, 1.0]], [0.0]),  # Q1 = s + a: 1.5, 1.5
    **linear("critic/target/bodies.0", [[1.0, 2.0]], [0.5]),  # Q1' = s + 2a + 0.5 at a = 0.5: 2.5, 4.5
}
HAND_TWIN: Arrays = {
    **linear("critic/network/bodies.1", [[0.0, 0.0]], [2.0]),  # Q2 = 2
    **linear("critic/target/bodies.1", [[2.0, -1.0]], [0.0]),  # Q2' = 2s - a: 1.5, 5.5
}


def hand_algorithm(name: str, **settings: Any) -> Algorithm:
    common = {"hidden": (), "actor_lr": 0.01, "critic_lr": 0.02, "tau": 0.25}
    algorithm = build_algorithm(name, 1, 1, settings={**common, **settings})
    with_arrays(algorithm, HAND_ARRAYS | (HAND_TWIN if name == "td3" else {}))
    return algorithm


def test_ddpg_update_gives_the_hand_worked_numbers() -> None:
    algorithm = hand_algorithm("ddpg")
    metrics = algorithm.update(HAND_BATCH)

    # Targets: 1 + 0.9 * 2.5 = 3.25, and 2 after the fall. Errors -1.75, -0.5.
    np.testing.assert_allclose(algorithm.td_error, [1.75, 0.5], rtol=1e-6)
    assert metrics["critic/target"] == pytest.approx((3.25 + 2) / 2)
    assert metrics["critic/value"] == pytest.approx(1.5)
    assert metrics["critic/td_error"] == pytest.approx(1.125)
    assert metrics["critic/loss"] == pytest.approx((1.0 * 1.75**2 + 0.5 * 0.5**2) / 2)
    arrays = algorithm.state().tensors
    # Gradients: s: -1.75*1 - 0.25*2 < 0; a: -1.75*0.5 + 0.25*0.5 < 0; bias < 0. Adam's first step is the learning rate.
    np.testing.assert_allclose(arrays["critic/network/bodies.0.final.weight"], [[1.02, 1.02]], rtol=1e-5)
    np.testing.assert_allclose(arrays["critic/network/bodies.0.final.bias"], [0.02], rtol=1e-4)
    # The value rises with the action, so the actor's bias and (s being positive) weight rise.
    np.testing.assert_allclose(arrays["actor/network/body.final.bias"], [0.01], rtol=1e-4)
    np.testing.assert_allclose(arrays["actor/network/body.final.weight"], [[0.01]], rtol=1e-4)
    # Own actions are 0, so their value by the updated critic is 1.02 s + 0.02.
    assert metrics["actor/value"] == pytest.approx(1.02 * 1.5 + 0.02, rel=1e-4)
    assert metrics["actor/saturated"] == 0.0
    # Targets go a quarter of the way.
    np.testing.assert_allclose(arrays["critic/target/bodies.0.final.weight"], [[1.005, 1.755]], rtol=1e-5)
    np.testing.assert_allclose(
        arrays["actor/target/body.final.bias"], [0.75 * math.atanh(0.5) + 0.25 * 0.01], rtol=1e-4
    )


def test_td3_update_gives_the_hand_worked_numbers() -> None:
    algorithm = hand_algorithm("td3", target_noise=0.0)
    metrics = algorithm.update(HAND_BATCH)

    # The smaller target value counts: min(2.5, 1.5), so targets are 1 + 0.9 * 1.5 = 2.35, and 2 after the fall.
    # Errors of Q1: -0.85, -0.5; of Q2: -0.35, 0.
    assert metrics["critic/target"] == pytest.approx((2.35 + 2) / 2)
    assert metrics["critic/value"] == pytest.approx((1.5 + 1.5 + 2 + 2) / 4)
    assert metrics["critic/loss"] == pytest.approx((0.85**2 + 0.5 * 0.5**2) / 2 + 0.35**2 / 2, rel=1e-5)
    np.testing.assert_allclose(algorithm.td_error, [0.6, 0.25], rtol=1e-5)
    arrays = algorithm.state().tensors
    np.testing.assert_allclose(arrays["critic/network/bodies.0.final.weight"], [[1.02, 1.02]], rtol=1e-5)
    np.testing.assert_allclose(arrays["critic/network/bodies.1.final.weight"], [[0.02, 0.02]], rtol=1e-4)
    np.testing.assert_allclose(arrays["critic/network/bodies.1.final.bias"], [2.02], rtol=1e-5)


def test_td3_moves_actor_and_targets_only_at_every_second_update() -> None:
    algorithm = hand_algorithm("td3", target_noise=0.0)
    first = algorithm.update(HAND_BATCH)
    held = algorithm.state().tensors
    second = algorithm.update(HAND_BATCH)
    moved = algorithm.state().tensors

    assert "actor/value" not in first
    assert "actor/value" in second
    for name in HAND_ARRAYS | HAND_TWIN:
        if "target" in name or "actor" in name:
            np.testing.assert_array_equal(held[name], (HAND_ARRAYS | HAND_TWIN)[name])
    np.testing.assert_allclose(moved["actor/network/body.final.bias"], [0.01], rtol=1e-4)
    for network in ("actor/{}/body", "critic/{}/bodies.0", "critic/{}/bodies.1"):
        old = held[network.format("target") + ".final.bias"]
        online = moved[network.format("network") + ".final.bias"]
        np.testing.assert_allclose(
            moved[network.format("target") + ".final.bias"], old + 0.25 * (online - old), rtol=1e-6
        )


@EVERY_VARIANT
def test_fall_removes_the_bootstrap_and_time_limit_keeps_it(name: str) -> None:
    fallen, timed_out = random_batch(0), random_batch(0)
    fallen.discount[:] = 0.0
    timed_out.discount[:] = 0.9
    for batch, depends in ((fallen, False), (timed_out, True)):
        targets = []
        for scale in (1.0, 100.0):
            algorithm = build_algorithm(name, 5, 3, settings=small(name))
            target_critics = {
                array: value * scale for array, value in algorithm.state().tensors.items() if "critic/target" in array
            }
            with_arrays(algorithm, target_critics)
            targets.append(algorithm.update(batch)["critic/target"])
        assert (abs(targets[0] - targets[1]) > 1e-4) is depends


def test_target_noise_is_clipped() -> None:
    # Q' = a and an actor that answers 0: the target is the noise itself, and 100 deviations always reach the clip.
    algorithm = build_algorithm("td3", 1, 1, settings={"hidden": (), "target_noise": 100.0, "noise_clip": 0.25})
    q_is_a = [linear(f"critic/target/bodies.{i}", [[0.0, 1.0]], [0.0]) for i in (0, 1)]
    q_is_0 = [linear(f"critic/network/bodies.{i}", [[0.0, 0.0]], [0.0]) for i in (0, 1)]
    with_arrays(algorithm, q_is_a[0] | q_is_a[1] | q_is_0[0] | q_is_0[1] | linear("actor/target/body", [[0.0]], [0.0]))
    rows = np.zeros((1000, 1), np.float32)
    ones, zeros = np.ones(1000, np.float32), np.zeros(1000, np.float32)
    metrics = algorithm.update(Batch(rows, rows, zeros, ones, rows, np.zeros(1000, np.int64), ones))

    assert algorithm.td_error.max() == 0.25
    assert np.mean(algorithm.td_error == 0.25) > 0.98
    assert abs(metrics["critic/target"]) < 0.03, "both signs must come"


def test_smoothed_actions_stay_in_range() -> None:
    action, noise = torch.tensor([0.9, -0.9, 0.0, 0.2]), torch.tensor([0.4, -9.0, 9.0, -0.1])

    torch.testing.assert_close(smoothed(action, noise, 0.5), torch.tensor([1.0, -1.0, 0.5, 0.1]))


def test_losses_by_hand() -> None:
    reward, discount, following = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.0]), torch.tensor([4.0, 1e6])
    target = value_target(reward, discount, following)

    assert target.tolist() == [3.0, 2.0]
    values = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert critic_loss(values, target, torch.tensor([1.0, 1.0])).item() == pytest.approx((4 + 0) / 2 + (0 + 9) / 2)
    assert critic_loss(values, target, torch.tensor([0.5, 2.0])).item() == pytest.approx((2 + 0) / 2 + (0 + 18) / 2)


@EVERY_VARIANT
def test_row_of_weight_zero_teaches_the_critic_nothing(name: str) -> None:
    first, second = random_batch(1), random_batch(1)
    for batch in (first, second):
        batch.weight[3] = 0.0
    second.reward[3] += 100.0
    algorithms = [build_algorithm(name, 5, 3, settings=small(name)) for _ in range(2)]
    for algorithm, batch in zip(algorithms, (first, second), strict=True):
        algorithm.update(batch)

    assert same_tensors(algorithms[0].state(), algorithms[1].state())
    assert algorithms[1].td_error[3] > algorithms[0].td_error[3] + 50, "its priority must still be right"


@pytest.mark.parametrize("bins", [2, 3, 11])
def test_bins_equal_the_environments_number_for_number(bins: int) -> None:
    action = np.linspace(-1, 1, 9973, dtype=np.float32)
    excitation = environment_binned((action + np.float32(1)) / np.float32(2), bins)
    levels = binned(torch.from_numpy(action), bins).numpy()

    np.testing.assert_array_equal(levels, np.float32(2) * excitation - np.float32(1))
    np.testing.assert_allclose(np.unique(levels), np.linspace(-1, 1, bins), atol=1e-6)


def test_straight_through_gradient_ignores_the_rounding() -> None:
    action = torch.tensor([-0.9, -0.2, 0.3, 0.99], requires_grad=True)
    slope = torch.tensor([1.0, -2.0, 3.0, 4.0])
    result = binned_straight_through(action, 3)
    (result * slope).sum().backward()  # type: ignore[no-untyped-call]

    assert result.tolist() == [-1.0, 0.0, 0.0, 1.0]
    assert action.grad is not None
    assert action.grad.tolist() == slope.tolist()


def test_without_bins_actions_pass_untouched() -> None:
    action = torch.tensor([0.123])

    assert binned(action, None) is action
    assert binned_straight_through(action, None) is action


def test_saturated_actions_are_reported() -> None:
    algorithm = build_algorithm("ddpg", 5, 3, settings={"hidden": ()})
    with_arrays(algorithm, linear("actor/network/body", [[0.0] * 5] * 3, [9.0, -9.0, 0.0]))

    assert algorithm.update(random_batch(0))["actor/saturated"] == pytest.approx(2 / 3)


def test_actor_loss_is_the_penalty_on_the_mean_squared_drive_minus_the_value() -> None:
    drive = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    # (1 + 4 + 0 + 9) / 4 = 3.5
    assert actor_loss(torch.tensor(2.0), drive, 0.1).item() == pytest.approx(0.1 * 3.5 - 2.0)
    assert actor_loss(torch.tensor(2.0), drive, 0.0).item() == -2.0


@EVERY_VARIANT
def test_action_penalty_keeps_an_actor_from_saturating(name: str) -> None:
    """The critic is made to want all muscles full on; only the penalty holds the actor back."""
    variants: dict[str, dict[str, Any]] = {"d4pg": {"v_min": -4.0, "v_max": 4.0}, "redq": {"policy_delay": 2}}

    def saturated(penalty: float) -> float:
        algorithm = build_algorithm(
            name,
            5,
            3,
            settings=small(
                name, hidden=(16,), actor_lr=0.02, critic_lr=1e-3, action_penalty=penalty, **variants.get(name, {})
            ),
            seed=1,
        )
        for step in range(300):
            batch = random_batch(step)
            algorithm.update(dataclasses.replace(batch, reward=batch.action.sum(axis=1), discount=0 * batch.discount))
        algorithm.update(random_batch(0))
        with torch.no_grad():
            return float((algorithm.actor(torch.tensor(random_batch(1).observation)).abs() > 0.99).float().mean())

    assert saturated(0.0) > 0.9
    assert saturated(0.3) < 0.1
