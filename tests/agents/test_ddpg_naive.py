"""Both algorithms against a second, naive implementation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.ddpg import build_algorithm, build_config
from agents.experience import Batch
from tests.learning import Arrays, random_batch, with_arrays

NAMES = pytest.mark.parametrize("name", ["ddpg", "td3"])


class Naive:
    """TD3 and DDPG once more: plain loops, Adam written out, no shared code."""

    def __init__(self, name: str, arrays: Arrays, config: Any) -> None:
        self.name, self.config, self.count = name, config, 2 if name == "td3" else 1
        self.generator = torch.Generator()
        self.generator.set_state(torch.tensor(arrays["generator"]))
        self.values = {key: torch.tensor(a) for key, a in arrays.items() if "network" in key or "target" in key}
        self.moments = {key: [torch.zeros_like(v), torch.zeros_like(v)] for key, v in self.values.items()}
        self.steps = {"actor": 0, "critic": 0}
        self.updates = 0

    def run(self, prefix: str, inputs: Tensor) -> Tensor:
        for layer in range(len(self.config.hidden)):
            weight, bias = (self.values[f"{prefix}.hidden.{layer}.{kind}"] for kind in ("weight", "bias"))
            inputs = (inputs @ weight.T + bias).clamp(min=0)
        outputs: Tensor = inputs @ self.values[f"{prefix}.final.weight"].T + self.values[f"{prefix}.final.bias"]
        return outputs

    def q(self, which: str, critic: int, observation: Tensor, action: Tensor) -> Tensor:
        values: Tensor = self.run(f"critic/{which}/bodies.{critic}", torch.cat([observation, action], 1))[:, 0]
        return values

    def levels(self, action: Tensor) -> Tensor:
        if self.config.bins is None:
            return action
        steps: int = self.config.bins - 1
        return 2 * torch.round((action + 1) / 2 * steps) / steps - 1

    def adam(self, part: str, loss_of: Callable[[], Tensor], lr: float) -> float:
        names = [name for name in self.values if name.startswith(f"{part}/network")]
        for name in names:
            self.values[name].requires_grad_(True)
        loss = loss_of()
        gradients = torch.autograd.grad(loss, [self.values[name] for name in names])
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        clip = self.config.gradient_clip
        scale = min(1.0, clip / (norm + 1e-6)) if clip else 1.0
        self.steps[part] += 1
        for name, gradient in zip(names, gradients, strict=True):
            first, second = self.moments[name]
            first.mul_(0.9).add_(0.1 * scale * gradient)
            second.mul_(0.999).add_(0.001 * (scale * gradient) ** 2)
            mean, square = first / (1 - 0.9 ** self.steps[part]), second / (1 - 0.999 ** self.steps[part])
            self.values[name] = self.values[name].detach() - lr * mean / (square.sqrt() + 1e-8)
        return float(loss.detach())

    def update(self, batch: Batch) -> float:
        c = self.config
        observation, action, reward, discount, following, weight = (
            torch.tensor(getattr(batch, f))
            for f in ("observation", "action", "reward", "discount", "next_observation", "weight")
        )
        next_action = torch.tanh(self.run("actor/target/body", following))
        if self.name == "td3":
            noise = torch.randn(next_action.shape, generator=self.generator) * c.target_noise
            next_action = (next_action + noise.clip(-c.noise_clip, c.noise_clip)).clip(-1, 1)
        next_values = [self.q("target", i, following, self.levels(next_action)) for i in range(self.count)]
        target = reward + discount * (torch.minimum(*next_values) if self.count == 2 else next_values[0])

        def loss_of_critics() -> Tensor:
            errors = [self.q("network", i, observation, action) - target for i in range(self.count)]
            return torch.stack([(weight * e**2).sum() / len(e) for e in errors]).sum()

        def loss_of_actor() -> Tensor:
            drive = self.run("actor/network/body", observation)
            own = torch.tanh(drive)
            value: Tensor = self.q("network", 0, observation, own + (self.levels(own) - own).detach()).mean()
            penalty: Tensor = c.action_penalty * (drive**2).sum() / drive.numel()
            return penalty - value

        loss = self.adam("critic", loss_of_critics, c.critic_lr)
        self.updates += 1
        if self.name == "ddpg" or self.updates % c.policy_delay == 0:
            self.adam("actor", loss_of_actor, c.actor_lr)
            for name in self.values:
                if "target" in name:
                    online = self.values[name.replace("target", "network")].detach()
                    self.values[name] = (1 - c.tau) * self.values[name] + c.tau * online
        return loss


@pytest.mark.parametrize("action_penalty", [0.0, 0.3])
@pytest.mark.parametrize("gradient_clip", [None, 0.05])
@pytest.mark.parametrize("bins", [None, 5])
@NAMES
def test_updates_equal_a_naive_second_implementation(
    name: str, bins: int | None, gradient_clip: float | None, action_penalty: float
) -> None:
    settings = {"hidden": (9, 7), "actor_lr": 0.01, "critic_lr": 0.01, "tau": 0.1, "action_penalty": action_penalty}
    config = build_config(name, {**settings, "bins": bins, "gradient_clip": gradient_clip})
    algorithm = build_algorithm(name, 5, 3, settings=config, seed=4)
    # Larger final layers, so that actions spread over all levels and the target noise matters.
    with_arrays(algorithm, {k: v * 100 for k, v in algorithm.state().tensors.items() if "final" in k})
    naive = Naive(name, dict(algorithm.state().tensors), config)

    for seed in range(7):
        loss = algorithm.update(random_batch(seed))["critic/loss"]
        assert loss == pytest.approx(naive.update(random_batch(seed)), rel=1e-4)
    arrays = algorithm.state().tensors
    for key, value in naive.values.items():
        np.testing.assert_allclose(arrays[key], value.detach().numpy(), rtol=1e-3, atol=2e-5, err_msg=key)
