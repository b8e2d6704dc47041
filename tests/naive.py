"""A second, naive implementation of every variant: plain loops, AdamW written out, no shared code."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from agents.experience import Batch
from tests.learning import Arrays


class Naive:
    """Goes on from an algorithm's arrays as that algorithm should."""

    def __init__(self, name: str, arrays: Arrays, config: Any) -> None:
        self.name, self.config = name, config
        self.count = {"ddpg": 1, "d4pg": 1, "td3": 2, "simba": 2}.get(name) or config.critics
        self.atoms: int = getattr(config, "atoms", None) or 0
        self.generator = torch.Generator()
        self.generator.set_state(torch.tensor(arrays["generator"]))
        self.values = {key: torch.tensor(a) for key, a in arrays.items() if "network" in key or "target" in key}
        self.moments = {key: [torch.zeros_like(v), torch.zeros_like(v)] for key, v in self.values.items()}
        self.steps = {"actor": 0, "critic": 0}
        self.updates = 0

    def linear(self, prefix: str, inputs: Tensor) -> Tensor:
        return inputs @ self.values[f"{prefix}.weight"].T + self.values[f"{prefix}.bias"]

    def norm(self, prefix: str, inputs: Tensor) -> Tensor:
        centred = inputs - inputs.mean(1, keepdim=True)
        scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return scaled * self.values[f"{prefix}.weight"] + self.values[f"{prefix}.bias"]

    def run(self, prefix: str, inputs: Tensor) -> Tensor:
        if self.name == "simba":
            inputs = self.linear(f"{prefix}.embedding", inputs)
            block = 0
            while f"{prefix}.blocks.{block}.up.weight" in self.values:
                inside = self.linear(f"{prefix}.blocks.{block}.up", self.norm(f"{prefix}.blocks.{block}.norm", inputs))
                inputs = inputs + self.linear(f"{prefix}.blocks.{block}.down", inside.clamp(min=0))
                block += 1
            inputs = self.norm(f"{prefix}.norm", inputs)
        else:
            for layer in range(len(self.config.hidden)):
                inputs = self.linear(f"{prefix}.hidden.{layer}", inputs).clamp(min=0)
        return self.linear(f"{prefix}.final", inputs)

    def critic(self, which: str, critic: int, observation: Tensor, action: Tensor) -> Tensor:
        """(B, K)"""
        return self.run(f"critic/{which}/bodies.{critic}", torch.cat([observation, action], 1))

    def atom(self, index: int) -> float:
        c = self.config
        return float(c.v_min + (c.v_max - c.v_min) * index / (c.atoms - 1))

    def mean(self, outputs: Tensor) -> Tensor:
        """(B, K) -> (B,)"""
        if self.atoms:
            chances = outputs.exp() / outputs.exp().sum(1, keepdim=True)
            return torch.stack([chances[:, k] * self.atom(k) for k in range(self.atoms)]).sum(0)
        return outputs.sum(1) / outputs.shape[1]

    def levels(self, action: Tensor) -> Tensor:
        if self.config.bins is None:
            return action
        steps: int = self.config.bins - 1
        return 2 * torch.round((action + 1) / 2 * steps) / steps - 1

    def targets(self, reward: Tensor, discount: Tensor, following: Tensor) -> list[list[float]]:
        """For every row: a value, a sample of the return, or the chances of the atoms."""
        c = self.config
        action = torch.tanh(self.run("actor/target/body", following))
        if self.name not in ("ddpg", "d4pg"):
            noise = torch.randn(action.shape, generator=self.generator) * c.target_noise
            action = (action + noise.clip(-c.noise_clip, c.noise_clip)).clip(-1, 1)
        counted = list(range(self.count))
        if self.name == "redq":
            counted = torch.rand(self.count, generator=self.generator).argsort().tolist()[: c.subset]
        outputs = [self.critic("target", i, following, self.levels(action)) for i in counted]
        targets = []
        for b in range(len(reward)):
            r, d = float(reward[b]), float(discount[b])
            if self.name == "tqc":
                pool = sorted(float(z) for critic in outputs for z in critic[b])
                for _ in range(c.dropped * self.count):
                    pool.pop()
                targets.append([r + d * z for z in pool])
            elif self.atoms:
                means = [float(self.mean(critic)[b]) for critic in outputs]
                logits = outputs[means.index(min(means))][b]
                targets.append(self.projected(r, d, (logits.exp() / logits.exp().sum()).tolist()))
            else:
                targets.append([r + d * min(float(critic[b, 0]) for critic in outputs)])
        return targets

    def projected(self, reward: float, discount: float, chances: list[float]) -> list[float]:
        """Equation 7 of the C51 paper, sum by sum."""
        spacing = self.atom(1) - self.atom(0)
        result = [0.0] * self.atoms
        for i in range(self.atoms):
            for j, chance in enumerate(chances):
                moved = min(max(reward + discount * self.atom(j), self.config.v_min), self.config.v_max)
                result[i] += min(max(1 - abs(moved - self.atom(i)) / spacing, 0.0), 1.0) * chance
        return result

    def row_loss(self, outputs: Tensor, target: list[float]) -> Tensor:
        """Of one critic's outputs (K,) for one row."""
        if self.name == "tqc":
            total, count = torch.zeros(()), len(outputs)
            for m in range(count):
                fraction = (2 * m + 1) / (2 * count)
                for y in target:
                    u = y - outputs[m]
                    size = abs(u.item())
                    huber = 0.5 * u**2 if size <= 1 else u.abs() - 0.5
                    total = total + abs(fraction - (1.0 if u.item() < 0 else 0.0)) * huber
            return total / (count * len(target))
        if self.atoms:
            chances = outputs.exp() / outputs.exp().sum()
            return torch.stack([-y * p.log() for y, p in zip(target, chances, strict=True)]).sum()
        return (outputs[0] - target[0]) ** 2

    def adamw(self, part: str, loss_of: Callable[[], Tensor], lr: float) -> float:
        names = [name for name in self.values if name.startswith(f"{part}/network")]
        for name in names:
            self.values[name].requires_grad_(True)
        loss = loss_of()
        gradients = torch.autograd.grad(loss, [self.values[name] for name in names])
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        clip = self.config.gradient_clip
        scale = min(1.0, clip / (norm + 1e-6)) if clip else 1.0
        decay = getattr(self.config, "weight_decay", 0.0)
        self.steps[part] += 1
        for name, gradient in zip(names, gradients, strict=True):
            first, second = self.moments[name]
            first.mul_(0.9).add_(0.1 * scale * gradient)
            second.mul_(0.999).add_(0.001 * (scale * gradient) ** 2)
            mean, square = first / (1 - 0.9 ** self.steps[part]), second / (1 - 0.999 ** self.steps[part])
            self.values[name] = (1 - lr * decay) * self.values[name].detach() - lr * mean / (square.sqrt() + 1e-8)
        return float(loss.detach())

    def update(self, batch: Batch) -> float:
        """The critics' loss."""
        c = self.config
        observation, action, reward, discount, following, weight = (
            torch.tensor(getattr(batch, f))
            for f in ("observation", "action", "reward", "discount", "next_observation", "weight")
        )
        with torch.no_grad():
            targets = self.targets(reward, discount, following)

        def loss_of_critics() -> Tensor:
            loss = torch.zeros(())
            for i in range(self.count):
                outputs = self.critic("network", i, observation, action)
                for b, target in enumerate(targets):
                    loss = loss + weight[b] * self.row_loss(outputs[b], target) / len(targets)
            return loss

        def loss_of_actor() -> Tensor:
            drive = self.run("actor/network/body", observation)
            own = torch.tanh(drive)
            judged = own + (self.levels(own) - own).detach()
            climbed = range(self.count) if self.name in ("tqc", "redq") else [0]
            values = [self.mean(self.critic("network", i, observation, judged)).mean() for i in climbed]
            penalty: Tensor = c.action_penalty * (drive**2).sum() / drive.numel()
            return penalty - torch.stack(values).mean()

        loss = self.adamw("critic", loss_of_critics, c.critic_lr)
        self.updates += 1
        delayed = self.updates % getattr(c, "policy_delay", 1) != 0
        if not delayed:
            self.adamw("actor", loss_of_actor, c.actor_lr)
        if not delayed or self.name == "redq":
            for name in self.values:
                if "target" in name:
                    online = self.values[name.replace("target", "network")].detach()
                    self.values[name] = (1 - c.tau) * self.values[name] + c.tau * online
        return loss
