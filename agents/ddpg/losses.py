"""The equations of values and of the actor, as pure functions."""

from __future__ import annotations

import torch
from torch import Tensor


def value_target(reward: Tensor, discount: Tensor, next_value: Tensor) -> Tensor:
    """(B,) `reward + discount * next_value`; after a fall discount is 0 and nothing is bootstrapped."""
    return reward + discount * next_value


def critic_loss(value: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean over the batch of `weight (value - target)**2`, summed over the critics. (C, B), (B,), (B,) -> ()."""
    return (weight * (value - target).square()).mean(dim=1).sum()


def actor_loss(value: Tensor, drive: Tensor, penalty: float) -> Tensor:
    """`penalty mean(drive**2) - value`. (), (B, M) -> (). The drive is what the actor's tanh is taken of."""
    return penalty * drive.square().mean() - value


def smoothed(action: Tensor, noise: Tensor, noise_clip: float) -> Tensor:
    """Target policy smoothing: the action plus noise that is clipped to ±noise_clip, kept in [-1, 1]."""
    return torch.clamp(action + noise.clamp(-noise_clip, noise_clip), -1.0, 1.0)
