"""A single-file loop in CleanRL's style: plain torch, one statement per equation of the paper, an array per column."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import torch
from torch import Tensor, nn

from infra.bench.learner.contract import (
    GAMMA,
    LEARNING_RATE,
    NOISE_CLIP,
    POLICY_DELAY,
    TARGET_NOISE,
    TAU,
    Case,
    Float32,
    Update,
)


class Arrays:
    """Its replay buffer: both observations of every transition, gathered by numpy, then given to torch."""

    def __init__(self, case: Case) -> None:
        self._device = torch.device(case.device)
        parts = list(case.content())
        self._columns: dict[str, Float32] = {
            name: np.concatenate([part[name] for part in parts]) for name in list(parts[0])
        }

    def sample(self, size: int) -> dict[str, Tensor]:
        """Uniformly, with replacement."""
        rows = np.random.randint(0, len(self._columns["reward"]), size)
        return {name: torch.as_tensor(column[rows], device=self._device) for name, column in self._columns.items()}


def network(inputs: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    """ReLU between linear layers."""
    sizes = (inputs, *hidden)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


class Loop:
    """TD3 (arXiv 1802.09477)."""

    def __init__(self, case: Case) -> None:
        device, wide = torch.device(case.device), case.observation_size + case.action_size
        self.actor = nn.Sequential(network(case.observation_size, case.hidden, case.action_size), nn.Tanh()).to(device)
        self.q1 = network(wide, case.hidden, 1).to(device)
        self.q2 = network(wide, case.hidden, 1).to(device)
        self.target_actor, self.target_q1, self.target_q2 = map(copy.deepcopy, (self.actor, self.q1, self.q2))
        capturable = device.type == "cuda"
        self.q_optimizer = torch.optim.Adam(
            [*self.q1.parameters(), *self.q2.parameters()], lr=LEARNING_RATE, capturable=capturable
        )
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=LEARNING_RATE, capturable=capturable)

    def fit_critics(self, batch: dict[str, Tensor]) -> Tensor:
        """One step of both; returns their loss."""
        with torch.no_grad():
            noise = (torch.randn_like(batch["action"]) * TARGET_NOISE).clamp(-NOISE_CLIP, NOISE_CLIP)
            action = (self.target_actor(batch["next_observation"]) + noise).clamp(-1, 1)
            following = torch.cat([batch["next_observation"], action], 1)
            value = torch.min(self.target_q1(following), self.target_q2(following))
            target = batch["reward"] + GAMMA * (1 - batch["done"]) * value
        inputs = torch.cat([batch["observation"], batch["action"]], 1)
        loss = nn.functional.mse_loss(self.q1(inputs), target) + nn.functional.mse_loss(self.q2(inputs), target)
        self.q_optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.q_optimizer.step()
        return loss.detach()

    def improve_actor(self, observation: Tensor) -> Tensor:
        """One step of it; returns its loss."""
        loss: Tensor = -self.q1(torch.cat([observation, self.actor(observation)], 1)).mean()
        self.actor_optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.actor_optimizer.step()
        return loss.detach()

    def follow(self) -> None:
        """Targets move, parameter by parameter."""
        for name in ("actor", "q1", "q2"):
            online, target = getattr(self, name), getattr(self, f"target_{name}")
            for source, following in zip(online.parameters(), target.parameters(), strict=True):
                following.data.copy_(TAU * source.data + (1 - TAU) * following.data)


def eager(case: Case, *, mixed: bool = False) -> Update:
    """Losses are read every hundredth update, as such loops log them.

    `mixed`: with torch's autocast to bfloat16 around each of the two steps; what it has cast it keeps until then.
    """
    memory, loop = Arrays(case), Loop(case)
    done = 0

    def cast() -> torch.autocast:
        return torch.autocast(case.device, torch.bfloat16, enabled=mixed)

    def update(count: int) -> None:
        nonlocal done
        for _ in range(count):
            done += 1
            batch = memory.sample(case.batch)
            with cast():
                loss = loop.fit_critics(batch)
            if done % POLICY_DELAY == 0:
                with cast():
                    loop.improve_actor(batch["observation"])
                loop.follow()
            if done % 100 == 0:
                loss.item()

    return update
