"""What DDPG and TD3 share: one actor, some critics, their targets, and the state that makes a run resumable."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.checkpoints.contract import Blob
from agents.ddpg.binning import binned_straight_through
from agents.ddpg.contract import AlgorithmConfig
from agents.ddpg.losses import actor_loss, critic_loss
from agents.ddpg.trained import Trained
from agents.experience import Batch
from agents.networks import Actor, Critics

SATURATED = 0.99


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch's columns as float32 tensors on the device."""

    observation: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    next_observation: Tensor
    weight: Tensor

    @staticmethod
    def of(batch: Batch, device: torch.device) -> Rows:
        # Copies: tensors of torch's own memory have one alignment, so the same numbers give the same sums.
        return Rows(
            *(
                torch.tensor(getattr(batch, field.name), dtype=torch.float32, device=device)
                for field in dataclasses.fields(Rows)
            )
        )


class ActorCritic:
    """Base of the two variants; each adds its `update`."""

    name: str

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        config: AlgorithmConfig,
        *,
        critics: int,
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        self.device = torch.device(device)
        # On the CPU even when the networks are not: the same noise on every device, and one state to save.
        self.generator = torch.Generator().manual_seed(seed)
        self.updates = 0
        self.td_error: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        actor = Actor(observation_size, action_size, config.hidden, generator=self.generator)
        twins = Critics(observation_size, action_size, config.hidden, count=critics, generator=self.generator)
        clip = config.gradient_clip
        self._actor = Trained("actor", actor, lr=config.actor_lr, gradient_clip=clip, device=self.device)
        self._critics = Trained("critic", twins, lr=config.critic_lr, gradient_clip=clip, device=self.device)
        self._tau, self._bins, self._penalty = config.tau, config.bins, config.action_penalty
        self._identity = {
            "algorithm": self.name,
            "observation_size": observation_size,
            "action_size": action_size,
            "hidden": list(config.hidden),
        }

    @property
    def actor(self) -> Actor:
        return self._actor.network

    def state(self) -> Blob:
        tensors = self._actor.arrays() | self._critics.arrays()
        tensors["generator"] = self.generator.get_state().numpy().copy()
        return Blob(tensors, {"algorithm": {**self._identity, "updates": self.updates}})

    def restore(self, blob: Blob) -> None:
        found = dict(blob.metadata.get("algorithm", {}))
        updates = found.pop("updates", None)
        if found != self._identity or updates is None:
            raise ValueError(
                f"the blob holds {found or 'no algorithm'}, needed {self._identity}; "
                "was the run's algorithm, observation or network size changed?"
            )
        self._actor.load(blob.tensors)
        self._critics.load(blob.tensors)
        self.generator.set_state(torch.tensor(blob.tensors["generator"]))
        self.updates = int(updates)

    def _fit_critics(self, rows: Rows, target: Tensor) -> dict[str, Tensor]:
        """One step of the critics towards the (B,) value targets. The executed action is judged."""
        value = self._critics.network(rows.observation, rows.action)
        loss = critic_loss(value, target, rows.weight)
        self._critics.step(loss)
        with torch.no_grad():
            error = (value - target).abs().mean(dim=0)
            self.td_error = error.cpu().numpy()
            return {
                "critic/loss": loss.detach(),
                "critic/value": value.mean(),
                "critic/target": target.mean(),
                "critic/td_error": error.mean(),
            }

    def _improve_actor(self, observation: Tensor) -> dict[str, Tensor]:
        """One step of the actor up the first critic's value of its own actions."""
        drive = self._actor.network.drive(observation)
        action = torch.tanh(drive)
        value = self._critics.network.first(observation, binned_straight_through(action, self._bins)).mean()
        self._actor.step(actor_loss(value, drive, self._penalty))
        with torch.no_grad():
            return {"actor/value": value.detach(), "actor/saturated": (action.abs() > SATURATED).float().mean()}

    def _follow(self) -> None:
        self._actor.follow(self._tau)
        self._critics.follow(self._tau)


def as_floats(metrics: dict[str, Tensor]) -> dict[str, float]:
    """Brings all metrics over at once: one wait for the device, not one each."""
    return dict(zip(metrics, torch.stack(list(metrics.values())).tolist(), strict=True))
