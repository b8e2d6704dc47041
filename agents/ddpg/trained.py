"""A network in training: itself, its slowly following target and its optimiser."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.networks import array_of, arrays_of, load_arrays

Network = TypeVar("Network", bound=nn.Module)


class Trained(Generic[Network]):
    """`network` learns by Adam; `target` follows it."""

    def __init__(
        self, name: str, network: Network, *, lr: float, gradient_clip: float | None, device: torch.device
    ) -> None:
        self.name, self.gradient_clip = name, gradient_clip
        self.network = network.to(device)
        self.target = copy.deepcopy(self.network).requires_grad_(False)
        self._parameters: list[Tensor] = list(self.network.parameters())
        self._following: list[Tensor] = list(self.target.parameters())
        self._adam = torch.optim.Adam(self._parameters, lr=lr, fused=True)

    def step(self, loss: Tensor) -> None:
        """One Adam step down the loss's gradient; other networks in the loss are left alone.

        Raises: FloatingPointError when the loss is not finite; nothing is changed then.
        """
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the {self.name} loss is {loss.item()}, needed a finite number; a non-finite number in the batch, "
                "or training diverged: lower the learning rate or go back to an earlier checkpoint"
            )
        self._adam.zero_grad(set_to_none=True)
        torch.autograd.backward(loss, inputs=self._parameters)
        if self.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self.gradient_clip)
        self._adam.step()

    @torch.no_grad()
    def follow(self, tau: float) -> None:
        """target += tau * (network - target), all parameters in one call."""
        torch._foreach_lerp_(self._following, self._parameters, tau)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Network, target, Adam's moments and step counts, as arrays under `name/`."""
        arrays = arrays_of(self.network, f"{self.name}/network") | arrays_of(self.target, f"{self.name}/target")
        steps = np.zeros(len(self._parameters), dtype=np.float32)
        for index, parameter in enumerate(self._parameters):
            # Adam has no moments before its first step; zeros are what it then starts from.
            moments = self._adam.state.get(parameter, {})
            steps[index] = float(moments.get("step", 0.0))
            for moment in ("exp_avg", "exp_avg_sq"):
                arrays[f"{self.name}/adam/{index}/{moment}"] = array_of(
                    moments.get(moment, torch.zeros_like(parameter))
                )
        arrays[f"{self.name}/adam/steps"] = steps
        return arrays

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Takes over what `arrays` gave. Raises: ValueError when sizes differ."""
        load_arrays(self.network, arrays, f"{self.name}/network")
        load_arrays(self.target, arrays, f"{self.name}/target")
        steps = arrays[f"{self.name}/adam/steps"]
        moments = {
            index: {
                "step": torch.tensor(float(steps[index])),
                "exp_avg": torch.tensor(arrays[f"{self.name}/adam/{index}/exp_avg"]),
                "exp_avg_sq": torch.tensor(arrays[f"{self.name}/adam/{index}/exp_avg_sq"]),
            }
            for index in range(len(self._parameters))
        }
        self._adam.load_state_dict({"state": moments, "param_groups": self._adam.state_dict()["param_groups"]})
