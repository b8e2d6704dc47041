"""Returns as quantiles: truncation, the quantile Huber loss and a whole update of TQC against hand-worked numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.ddpg import build_algorithm
from agents.ddpg.quantiles import QuantileHead, fractions, quantile_huber, truncated
from agents.experience import Batch
from tests.learning import Arrays, linear, random_batch, with_arrays


def test_fractions_are_the_middles_of_equal_parts() -> None:
    assert fractions(4).tolist() == [0.125, 0.375, 0.625, 0.875]


def test_truncation_leaves_out_the_largest_of_all_critics() -> None:
    quantiles = torch.tensor([[[5.0, 1.0, 3.0], [0.0, 0.0, 0.0]], [[2.0, 9.0, 4.0], [7.0, 6.0, 8.0]]])

    assert truncated(quantiles, 0).tolist() == [[1, 2, 3, 4, 5, 9], [0, 0, 0, 6, 7, 8]]
    # Two of six, wherever they come from: of the second row both are the second critic's.
    assert truncated(quantiles, 1).tolist() == [[1, 2, 3, 4], [0, 0, 0, 6]]


def test_quantile_huber_by_hand() -> None:
    quantiles, target = torch.tensor([[[0.0, 2.0]]]), torch.tensor([[0.5, -3.0]])
    # Fraction 1/4 at 0: u = 0.5, -3: 1/4 * 1/8 + 3/4 * 2.5. Fraction 3/4 at 2: u = -1.5, -5: 1/4 * 1 + 1/4 * 4.5.
    expected = (0.25 * 0.125 + 0.75 * 2.5 + 0.25 * 1.0 + 0.25 * 4.5) / 4

    assert quantile_huber(quantiles, target, torch.tensor([1.0])).item() == pytest.approx(expected)
    assert quantile_huber(quantiles, target, torch.tensor([0.5])).item() == pytest.approx(expected / 2)
    twice = quantiles.repeat(2, 1, 1)
    assert quantile_huber(twice, target, torch.tensor([1.0])).item() == pytest.approx(2 * expected)


def test_quantile_huber_is_least_at_the_quantiles() -> None:
    # Returns 0, 10, ..., 1990: Huber's rounding of ±1 does not matter, and the fractions 1/8, 3/8, ... are at 250, ...
    target = 10.0 * torch.arange(200.0)[None]
    grid = torch.arange(0.0, 2000.0, 10.0) + 5.0
    for k, expected in enumerate((250.0, 750.0, 1250.0, 1750.0)):
        tries = torch.zeros(len(grid), 1, 4)
        tries[:, 0, k] = grid
        losses = torch.stack([quantile_huber(one[None], target, torch.ones(1)) for one in tries])

        assert abs(grid[losses.argmin()].item() - expected) <= 5


def test_value_is_the_mean_quantile() -> None:
    assert QuantileHead(3, 0).value(torch.tensor([[[1.0, 2.0, 6.0]]])).tolist() == [[3.0]]


# One observation, one action, two linear critics of two quantiles. The second row ends in a fall.
HAND_BATCH = Batch(
    observation=np.array([[1.0], [2.0]], np.float32),
    action=np.zeros((2, 1), np.float32),
    reward=np.array([1.0, -1.0], np.float32),
    discount=np.array([0.5, 0.0], np.float32),
    next_observation=np.array([[1.0], [3.0]], np.float32),
    policy_version=np.zeros(2, np.int64),
    weight=np.array([1.0, 0.5], np.float32),
)
HAND_ARRAYS: Arrays = {
    **linear("actor/network/body", [[0.0]], [0.0]),
    **linear("actor/target/body", [[0.0]], [0.0]),
    # The first critic likes the action, the second dislikes it three times as much.
    **linear("critic/network/bodies.0", [[0.0, 1.0]] * 2, [0.0, 0.0]),
    **linear("critic/network/bodies.1", [[0.0, -3.0]] * 2, [1.0, 3.0]),
    **linear("critic/target/bodies.0", [[0.0, 0.0]] * 2, [1.0, 4.0]),
    **linear("critic/target/bodies.1", [[0.0, 0.0]] * 2, [2.0, 8.0]),
}


def test_tqc_update_gives_the_hand_worked_numbers() -> None:
    settings = {"critics": 2, "quantiles": 2, "dropped": 1, "target_noise": 0.0, "tau": 0.25}
    rates = {"hidden": (), "actor_lr": 0.01, "critic_lr": 0.02}
    algorithm = build_algorithm("tqc", 1, 1, settings={**settings, **rates})
    with_arrays(algorithm, HAND_ARRAYS)
    metrics = algorithm.update(HAND_BATCH)

    # Of 1, 2, 4, 8 the lower two are left: targets 1.5 and 2, mean 1.75; after the fall -1 twice. Values are 0 and 2.
    np.testing.assert_allclose(algorithm.td_error, [(1.75 + 0.25) / 2, (1 + 3) / 2], rtol=1e-6)
    assert metrics["critic/target"] == pytest.approx((1.75 - 1) / 2)
    assert metrics["critic/value"] == pytest.approx(1.0)
    # First critic: row 1 has u = 1.5, 2 at both fractions, row 2 u = -1 throughout.
    first = [(0.25 + 0.75) * (1.0 + 1.5) / 4, (0.75 + 0.25) * (0.5 + 0.5) / 4]
    # Second: row 1 has u = 0.5, 1 and -1.5, -1; row 2 u = -2 twice and -4 twice.
    second = [(0.25 * (0.125 + 0.5) + 0.25 * (1.0 + 0.5)) / 4, (0.75 * (1.5 + 1.5) + 0.25 * (3.5 + 3.5)) / 4]
    loss = sum((1.0 * row_1 + 0.5 * row_2) / 2 for row_1, row_2 in (first, second))
    assert metrics["critic/loss"] == pytest.approx(loss, rel=1e-6)
    arrays = algorithm.state().tensors
    # Both critics together dislike the action: all of them are climbed.
    np.testing.assert_allclose(arrays["actor/network/body.final.bias"], [-0.01], rtol=1e-4)
    online = arrays["critic/network/bodies.1.final.bias"]
    np.testing.assert_allclose(arrays["critic/target/bodies.1.final.bias"], 0.75 * np.array([2, 8]) + 0.25 * online)


def test_what_is_dropped_does_not_reach_the_target() -> None:
    def target(top: float, dropped: int) -> float:
        algorithm = build_algorithm(
            "tqc", 5, 3, settings={"hidden": (), "critics": 1, "quantiles": 3, "dropped": dropped}
        )
        with_arrays(algorithm, linear("critic/target/bodies.0", [[0.0] * 8] * 3, [1.0, top, 2.0]))
        batch = random_batch(0)
        batch.reward[:], batch.discount[:] = 0.0, 1.0
        return algorithm.update(batch)["critic/target"]

    assert target(100.0, dropped=1) == target(1000.0, dropped=1) == pytest.approx(1.5)
    assert target(1000.0, dropped=0) == pytest.approx(1003 / 3)
