"""What the tests of the learning algorithms share: small variants, random batches, and set or compared weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.checkpoints.contract import Blob
from agents.ddpg import CONFIGS, Algorithm
from agents.experience import Batch

Arrays = dict[str, NDArray[Any]]
EVERY_VARIANT = pytest.mark.parametrize("name", list(CONFIGS))


def small(name: str, **settings: Any) -> dict[str, Any]:
    """Settings of a network that takes no time, with others on top."""
    sizes: dict[str, Any] = {"hidden": (8,)}
    if name == "simba":
        sizes["critic_hidden"] = (8,)
    return sizes | settings


def random_batch(seed: int, size: int = 16, observation_size: int = 5, action_size: int = 3) -> Batch:
    """Rows of plausible sizes; about one in five ends in a fall."""
    generator = np.random.default_rng(seed)
    observation, following = generator.standard_normal((2, size, observation_size)).astype(np.float32)
    return Batch(
        observation=observation,
        action=generator.uniform(-1, 1, (size, action_size)).astype(np.float32),
        reward=generator.standard_normal(size).astype(np.float32),
        discount=(0.96 * (generator.random(size) > 0.2)).astype(np.float32),
        next_observation=following,
        policy_version=np.ones(size, np.int64),
        weight=generator.uniform(0.2, 1, size).astype(np.float32),
    )


def with_arrays(algorithm: Algorithm, arrays: Arrays) -> None:
    """Overwrites some of an algorithm's tensors, through its own `restore`."""
    blob = algorithm.state()
    assert set(arrays) <= set(blob.tensors)
    algorithm.restore(Blob({**blob.tensors, **arrays}, blob.metadata))


def linear(prefix: str, weight: list[list[float]], bias: list[float]) -> Arrays:
    """The tensors of a network without hidden layers."""
    return {
        f"{prefix}.final.weight": np.array(weight, dtype=np.float32),
        f"{prefix}.final.bias": np.array(bias, dtype=np.float32),
    }


def same_tensors(first: Blob, second: Blob) -> bool:
    """Bit for bit."""
    assert set(first.tensors) == set(second.tensors)
    return all(np.array_equal(first.tensors[name], second.tensors[name]) for name in first.tensors)
