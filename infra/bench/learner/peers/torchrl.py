"""TorchRL's TD3 loss, target updater and buffer, in the loop that its documentation shows."""

from __future__ import annotations

import logging
import warnings
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from infra.bench.learner.contract import GAMMA, LEARNING_RATE, NOISE_CLIP, POLICY_DELAY, TARGET_NOISE, TAU, Case, Update
from infra.bench.learner.peers.eager import network


class _Value(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        self.body = network(case.observation_size + case.action_size, case.hidden, 1)

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        value: Tensor = self.body(torch.cat([observation, action], -1))
        return value


def torchrl(case: Case) -> Update:
    """Actor and critic steps on `TD3Loss`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that its C++ extension does not load: only its prioritised buffer needs it
        data, modules, objectives = (import_module(f"torchrl.{name}") for name in ("data", "modules", "objectives"))
    logging.getLogger("torchrl").setLevel(logging.WARNING)
    dictionary = import_module("tensordict").TensorDict
    body = nn.Sequential(network(case.observation_size, case.hidden, case.action_size), nn.Tanh())
    actor = import_module("tensordict.nn").TensorDictModule(body, in_keys=["observation"], out_keys=["action"])
    critic = modules.ValueOperator(_Value(case), in_keys=["observation", "action"])
    most = torch.ones(case.action_size)
    loss = objectives.TD3Loss(
        actor.to(case.device),
        critic.to(case.device),
        bounds=(-most, most),
        policy_noise=TARGET_NOISE,
        noise_clip=NOISE_CLIP,
        loss_function="l2",
    )
    loss.make_value_estimator(gamma=GAMMA)
    follow = objectives.SoftUpdate(loss, tau=TAU)
    actor_optimizer = torch.optim.Adam(list(loss.actor_network_params.flatten_keys().values()), lr=LEARNING_RATE)
    critic_optimizer = torch.optim.Adam(list(loss.qvalue_network_params.flatten_keys().values()), lr=LEARNING_RATE)
    memory = _filled(case, data, dictionary)
    updates = 0

    def update(count: int) -> None:
        nonlocal updates
        for _ in range(count):
            updates += 1
            batch = memory.sample(case.batch)
            value_loss, _ = loss.value_loss(batch)
            critic_optimizer.zero_grad()
            value_loss.backward()
            critic_optimizer.step()
            if updates % POLICY_DELAY == 0:
                actor_loss, _ = loss.actor_loss(batch)
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()
                follow.step()

    return update


def _filled(case: Case, data: Any, dictionary: Any) -> Any:
    """Its replay buffer, with the case's content."""
    memory = data.ReplayBuffer(storage=data.LazyTensorStorage(case.transitions, device=case.device))
    for content in case.content():
        column = {name: torch.from_numpy(array) for name, array in content.items()}
        done = column["done"].bool()
        memory.extend(
            dictionary(
                {
                    "observation": column["observation"],
                    "action": column["action"],
                    "next": {
                        "observation": column["next_observation"],
                        "reward": column["reward"],
                        "done": done,
                        "terminated": done,
                    },
                },
                batch_size=[len(done)],
            )
        )
    return memory
