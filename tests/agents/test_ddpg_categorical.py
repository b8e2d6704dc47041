"""Returns as probabilities of atoms: projection, loss and a whole update of D4PG against hand-worked numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from agents.ddpg import build_algorithm, categorical
from agents.ddpg.categorical import CategoricalHead, Support, cross_entropy, lowest, projected
from agents.experience import Batch
from tests.learning import Arrays, linear, random_batch, with_arrays

THREE: dict[str, Any] = {"v_min": -1.0, "v_max": 1.0, "atoms": 3}


@pytest.mark.parametrize(
    ("reward", "discount", "probability", "expected"),
    [
        (0.0, 1.0, [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]),  # nothing moves
        (0.5, 1.0, [0.0, 1.0, 0.0], [0.0, 0.5, 0.5]),  # half way between two atoms
        (0.25, 1.0, [0.0, 1.0, 0.0], [0.0, 0.75, 0.25]),  # more to the nearer one
        (-1.0, 0.5, [0.2, 0.3, 0.5], [0.75, 0.25, 0.0]),  # to -1.5 (clipped), -1 and -0.5
        (5.0, 1.0, [0.2, 0.3, 0.5], [0.0, 0.0, 1.0]),  # all beyond the upper end
        (-5.0, 1.0, [0.2, 0.3, 0.5], [1.0, 0.0, 0.0]),  # all beyond the lower end
        (0.25, 0.0, [0.2, 0.3, 0.5], [0.0, 0.75, 0.25]),  # a fall: all around the reward
    ],
)
def test_projection_by_hand(reward: float, discount: float, probability: list[float], expected: list[float]) -> None:
    result = projected(torch.tensor([reward]), torch.tensor([discount]), torch.tensor([probability]), **THREE)

    torch.testing.assert_close(result, torch.tensor([expected]))


def test_projection_keeps_sum_and_mean_where_nothing_is_clipped() -> None:
    generator = torch.Generator().manual_seed(0)
    probability = torch.softmax(torch.randn(500, 51, generator=generator), dim=1)
    reward, discount = torch.rand(500, generator=generator) - 0.5, 0.9 * torch.rand(500, generator=generator)
    result = projected(reward, discount, probability, v_min=-7.0, v_max=7.0, atoms=51)
    atom = torch.linspace(-7, 7, 51)

    torch.testing.assert_close(result.sum(dim=1), torch.ones(500))
    torch.testing.assert_close(result @ atom, reward + discount * (probability @ atom), atol=2e-5, rtol=1e-4)
    assert result.min() >= 0


def test_lowest_mean_counts_row_by_row() -> None:
    probability = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
    mean = torch.tensor([[1.0, 5.0, 2.0], [2.0, 4.0, 2.5]])

    result = lowest(probability, mean)
    torch.testing.assert_close(result, torch.stack([probability[0, 0], probability[1, 1], probability[0, 2]]))


def test_cross_entropy_by_hand() -> None:
    # Two critics with probabilities 1/4, 3/4 and 1/2, 1/2 in both rows; targets 0, 1 and 1/2, 1/2.
    logits = torch.tensor([[[0.0, math.log(3)]] * 2, [[7.0, 7.0]] * 2])
    target, weight = torch.tensor([[0.0, 1.0], [0.5, 0.5]]), torch.tensor([1.0, 0.5])
    first = (-math.log(0.75) + 0.5 * (-0.5 * math.log(0.25) - 0.5 * math.log(0.75))) / 2
    second = (math.log(2) + 0.5 * math.log(2)) / 2

    assert cross_entropy(logits, target, weight).item() == pytest.approx(first + second, rel=1e-6)


def test_value_is_the_mean_atom() -> None:
    head = CategoricalHead(Support(v_min=-10.0, v_max=20.0, atoms=4), torch.device("cpu"))  # atoms -10, 0, 10, 20
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4]]))

    assert head.value(logits).item() == pytest.approx(-1 + 3 + 8, rel=1e-6)


# One observation, one action, atoms -1, 0, 1; linear critics. The second row ends in a fall.
HAND_BATCH = Batch(
    observation=np.array([[1.0], [2.0]], np.float32),
    action=np.zeros((2, 1), np.float32),
    reward=np.array([0.5, -0.5], np.float32),
    discount=np.array([0.5, 0.0], np.float32),
    next_observation=np.array([[1.0], [3.0]], np.float32),
    policy_version=np.zeros(2, np.int64),
    weight=np.array([1.0, 0.4], np.float32),
)
HAND_ARRAYS: Arrays = {
    **linear("actor/network/body", [[0.0]], [0.0]),
    **linear("actor/target/body", [[0.0]], [0.0]),
    # Even odds at action 0; a larger action moves them up.
    **linear("critic/network/bodies.0", [[0.0, -1.0], [0.0, 0.0], [0.0, 1.0]], [0.0, 0.0, 0.0]),
    # 1/8, 2/8, 5/8 whatever is done.
    **linear("critic/target/bodies.0", [[0.0, 0.0]] * 3, [0.0, math.log(2), math.log(5)]),
}


def test_d4pg_update_gives_the_hand_worked_numbers() -> None:
    settings = {**THREE, "hidden": (), "actor_lr": 0.01, "critic_lr": 0.02, "tau": 0.25}
    algorithm = build_algorithm("d4pg", 1, 1, settings=settings)
    with_arrays(algorithm, HAND_ARRAYS)
    metrics = algorithm.update(HAND_BATCH)

    # Targets: atoms move to 0, 0.5 and 1, so 0, 1/4, 3/4; after the fall all is at -0.5: 1/2, 1/2, 0. Values are 0.
    np.testing.assert_allclose(algorithm.td_error, [0.75, 0.5], rtol=1e-6)
    assert metrics["critic/target"] == pytest.approx((0.75 - 0.5) / 2)
    assert metrics["critic/value"] == pytest.approx(0.0, abs=1e-7)
    assert metrics["critic/td_error"] == pytest.approx(0.625)
    assert metrics["critic/at_ends"] == pytest.approx((0.75 + 0.5) / 2)
    assert metrics["critic/loss"] == pytest.approx((1.0 + 0.4) * math.log(3) / 2, rel=1e-6)
    arrays = algorithm.state().tensors
    # Gradients of the biases: mean w (p - y) = (1/3 - 0.4/6, 1/12 - 0.4/6, -5/12 + 0.4/3) / 2: up, up, down.
    np.testing.assert_allclose(arrays["critic/network/bodies.0.final.bias"], [-0.02, -0.02, 0.02], rtol=1e-4)
    # The expected return rises with the action, and so does the actor.
    np.testing.assert_allclose(arrays["actor/network/body.final.bias"], [0.01], rtol=1e-4)
    expected = [0.25 * -0.02, 0.75 * math.log(2) - 0.25 * 0.02, 0.75 * math.log(5) + 0.25 * 0.02]
    np.testing.assert_allclose(arrays["critic/target/bodies.0.final.bias"], expected, rtol=1e-4)


def test_simba_with_atoms_learns_from_the_distribution_of_smaller_mean() -> None:
    settings = {**THREE, "hidden": (2,), "critic_hidden": (2,), "target_noise": 0.0}
    algorithm = build_algorithm("simba", 5, 3, settings=settings)
    # A last layer without weights: the odds are its biases', whatever is seen. Means 0.5 and 0.25.
    flat = {k: 0 * v for k, v in algorithm.state().tensors.items() if "critic" in k and "final.weight" in k}
    odds = [[1, 2, 5], [2, 2, 4]]
    flat |= {f"critic/target/bodies.{i}.final.bias": np.log(np.array(o, np.float32)) for i, o in enumerate(odds)}
    with_arrays(algorithm, flat)
    batch = random_batch(0)
    batch.reward[:], batch.discount[:] = 0.0, 1.0

    assert algorithm.update(batch)["critic/target"] == pytest.approx(0.25, rel=1e-5)


def test_error_of_a_distribution_is_that_of_its_mean() -> None:
    # The critic is sure of 0, the return is -1 or 1 with even odds: wrong about all, but not about what to expect.
    algorithm = build_algorithm("d4pg", 1, 1, settings={**THREE, "hidden": ()})
    sure, even = linear("critic/network/bodies.0", [[0.0, 0.0]] * 3, [0.0, 50.0, 0.0]), [50.0, 0.0, 50.0]
    with_arrays(algorithm, sure | linear("critic/target/bodies.0", [[0.0, 0.0]] * 3, even))
    batch = random_batch(0, 4, 1, 1)
    batch.reward[:], batch.discount[:] = 0.0, 1.0
    metrics = algorithm.update(batch)

    np.testing.assert_allclose(algorithm.td_error, 0.0, atol=1e-6)
    assert metrics["critic/loss"] > 1
    assert metrics["critic/at_ends"] == pytest.approx(1.0)


def test_the_projection_written_out_for_a_gpu_equals_the_scatters() -> None:
    generator = torch.Generator().manual_seed(0)
    place = 50 * torch.rand((64, 51), generator=generator)
    place[0], place[1], place[2, ::2] = 0.0, 50.0, place[2, ::2].round()
    probability = torch.softmax(torch.randn((64, 51), generator=generator), dim=1)
    scattered = categorical._shared(place, probability)
    torch.testing.assert_close(categorical._written_out(place, probability), scattered, rtol=1e-5, atol=1e-6)
    place[3, 4] = torch.nan
    assert categorical._written_out(place, probability)[3].isnan().any()
