"""Actions that the muscles receive in a few levels, and a gradient through the rounding."""

from __future__ import annotations

import torch
from torch import Tensor


def binned(action: Tensor, bins: int | None) -> Tensor:
    """Nearest of `bins` levels: excitation e = (a+1)/2 becomes round(e (k-1)) / (k-1). Any shape, in [-1, 1].

    Number for number what the environment does, so that the levels equal those of the stored executed actions.
    """
    if bins is None:
        return action
    intervals = bins - 1
    return 2 * (torch.round((action + 1) / 2 * intervals) / intervals) - 1


def binned_straight_through(action: Tensor, bins: int | None) -> Tensor:
    """The same values; the gradient passes as if nothing had been rounded."""
    if bins is None:
        return action
    # In this order the value is exactly the level: action + (level - action) is off by a rounding error.
    return binned(action.detach(), bins) + (action - action.detach())
