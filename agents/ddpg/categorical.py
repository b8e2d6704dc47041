"""Returns as probabilities of fixed atoms (C51: Bellemare et al., arXiv 1707.06887; in D4PG: 1804.08617, appendix A).

The atoms are z_0..z_{K-1}, evenly spaced from v_min to v_max. A critic puts out K logits; its probabilities are their
softmax, its value is their mean atom.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


def projected(
    reward: Tensor, discount: Tensor, probability: Tensor, *, v_min: float, v_max: float, atoms: int
) -> Tensor:
    """The distribution of `reward + discount * Z` on the atoms again (1707.06887, equation 7).

    (B,), (B,), (B, K) -> (B, K).
    Atom j moves to `clip(reward + discount * z_j, v_min, v_max)` and leaves its probability to the two atoms beside it,
    more to the nearer: atom i gets `max(0, 1 - |moved_j - z_i| / spacing)` of it. Mean and sum are kept where nothing
    is clipped; after a fall discount is 0 and all lies around the reward.
    """
    spacing = (v_max - v_min) / (atoms - 1)
    atom = torch.linspace(v_min, v_max, atoms, device=reward.device)
    moved = (reward[:, None] + discount[:, None] * atom).clamp(v_min, v_max)
    place = (moved - v_min) / spacing
    return _shared(place, probability) if place.device.type == "cpu" else _written_out(place, probability)


def _written_out(place: Tensor, probability: Tensor) -> Tensor:
    """`place` (B, K): where every atom has moved, in atoms from the first. On a GPU scatters add in any order, and the
    last digits with it; this is always the same.
    """
    atom = torch.arange(place.shape[1], device=place.device)
    return (probability[:, :, None] * (1 - (place[:, :, None] - atom).abs()).clamp(min=0)).sum(dim=1)


def _shared(place: Tensor, probability: Tensor) -> Tensor:
    """The same with two scatters, which cost K per row where the formula costs K * K."""
    below = place.floor()
    share_above = place - below
    # Kept inside even for a reward that is no number, so that the loss says so and not an index.
    last = place.shape[1] - 1
    first = below.long().clamp(0, last)
    second = (first + 1).clamp(max=last)
    target = torch.zeros_like(probability)
    target.scatter_add_(1, first, probability * (1 - share_above))
    target.scatter_add_(1, second, probability * share_above)
    return target


def lowest(probability: Tensor, mean: Tensor) -> Tensor:
    """Of C distributions, row by row, the one whose mean is the lowest. (C, B, K), (C, B) -> (B, K)."""
    return probability[mean.argmin(dim=0), torch.arange(mean.shape[1], device=mean.device)]


def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean over the batch of `-weight sum_i target_i log p_i`, summed over the critics.

    (C, B, K), (B, K), (B,) -> ().
    """
    return _weighted(torch.log_softmax(logits, dim=-1), target, weight)


def _weighted(log_probability: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    entropy = -(target * log_probability).sum(dim=-1)
    return (weight * entropy).mean(dim=1).sum()


@dataclass(frozen=True, kw_only=True)
class Support:
    """Where the atoms are. Returns outside it are taken for its ends."""

    v_min: float
    v_max: float
    atoms: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.v_min) and math.isfinite(self.v_max) and self.v_min < self.v_max):
            raise ValueError(
                f"v_min is {self.v_min}, v_max {self.v_max}, needed two finite numbers, the lower first: "
                "the least and the most return, as the critic sees it (scaled)"
            )
        if self.atoms < 2:
            raise ValueError(f"atoms is {self.atoms}, needed at least 2")


class CategoricalHead:
    """Logits of the atoms."""

    def __init__(self, support: Support, device: torch.device) -> None:
        self.outputs = support.atoms
        self.identity: Mapping[str, Any] = {"support": [support.v_min, support.v_max, support.atoms]}
        self._support = support
        self._atoms = torch.linspace(support.v_min, support.v_max, support.atoms, device=device)

    def value(self, raw: Tensor) -> Tensor:
        return torch.softmax(raw, dim=-1) @ self._atoms

    def target(self, reward: Tensor, discount: Tensor, raw: Tensor) -> Tensor:
        probability = torch.softmax(raw, dim=-1)
        following = lowest(probability, probability @ self._atoms)
        s = self._support
        return projected(reward, discount, following, v_min=s.v_min, v_max=s.v_max, atoms=s.atoms)

    def expected(self, target: Tensor) -> Tensor:
        return target @ self._atoms

    def loss(self, raw: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return cross_entropy(raw, target, weight)

    def loss_gradient(self, raw: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """d loss / d logit_i = weight / B (p_i - target_i), since the target sums to 1."""
        log_p = torch.log_softmax(raw, dim=-1)
        loss = _weighted(log_p, target, weight)
        return loss, log_p.exp_().sub_(target).mul_((weight / len(weight))[:, None])

    def value_gradient(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """d value / d logit_i = p_i (z_i - value)."""
        probability = torch.softmax(raw, dim=-1)
        value = probability @ self._atoms
        return value.mean(), probability * (self._atoms - value[..., None]) / value.numel()

    def metrics(self, target: Tensor) -> dict[str, Tensor]:
        """`critic/at_ends`: share of the targets' probability on the two outermost atoms. Much of it: wider support."""
        return {"critic/at_ends": (target[:, 0] + target[:, -1]).mean()}
