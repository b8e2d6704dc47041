"""Every variant against a second, naive implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.ddpg import CONFIGS, build_algorithm, build_config
from tests.learning import random_batch, with_arrays
from tests.naive import Naive

ATOMS = {"atoms": 7, "v_min": -3.0, "v_max": 4.0}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddpg": ("ddpg", {}),
    "td3": ("td3", {}),
    "d4pg": ("d4pg", ATOMS),
    "tqc": ("tqc", {"critics": 3, "quantiles": 4, "dropped": 1, "policy_delay": 2}),
    "redq": ("redq", {"critics": 4, "subset": 2, "policy_delay": 3}),
    "simba": ("simba", {"hidden": (6, 6), "critic_hidden": (8,), "weight_decay": 0.5}),
    "simba with atoms": ("simba", {**ATOMS, "hidden": (6,), "critic_hidden": (8, 8), "weight_decay": 0.5}),
}


def test_every_variant_is_compared() -> None:
    assert {name for name, _ in VARIANTS.values()} == set(CONFIGS)


@pytest.mark.parametrize("action_penalty", [0.0, 0.3])
@pytest.mark.parametrize("gradient_clip", [None, 0.05])
@pytest.mark.parametrize("bins", [None, 5])
@pytest.mark.parametrize("variant", VARIANTS)
def test_updates_equal_a_naive_second_implementation(
    variant: str, bins: int | None, gradient_clip: float | None, action_penalty: float
) -> None:
    name, own = VARIANTS[variant]
    settings = {"hidden": (9, 7), "actor_lr": 0.01, "critic_lr": 0.01, "tau": 0.1, "action_penalty": action_penalty}
    config = build_config(name, {**settings, **own, "bins": bins, "gradient_clip": gradient_clip})
    algorithm = build_algorithm(name, 5, 3, settings=config, seed=4)
    # Larger final layers, so that actions spread over all levels and the target noise matters.
    with_arrays(algorithm, {k: v * 100 for k, v in algorithm.state().tensors.items() if "final" in k})
    naive = Naive(name, dict(algorithm.state().tensors), config)

    for seed in range(7):
        batch = random_batch(seed, 8)
        assert algorithm.update(batch)["critic/loss"] == pytest.approx(naive.update(batch), rel=1e-4)
    arrays = algorithm.state().tensors
    for key, value in naive.values.items():
        np.testing.assert_allclose(arrays[key], value.detach().numpy(), rtol=1e-3, atol=2e-5, err_msg=key)
