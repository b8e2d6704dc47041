"""The networks: an actor (observation -> action) and critics (observation, action -> value)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

DEFAULT_HIDDEN = (400, 300)
FINAL_BOUND = 3e-3
"""Final weights and biases start in ±this, so first actions are near 0 and first values near 0."""


class Mlp(nn.Module):
    """Linear layers with ReLU between them. With two sizes it is one linear map.

    Hidden layers start uniform in ±1/sqrt(inputs), the final one in ±`FINAL_BOUND`.
    """

    def __init__(self, sizes: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        *hidden, last = itertools.pairwise(sizes)
        self.hidden = nn.ModuleList(_linear(*pair, bound=pair[0] ** -0.5, generator=generator) for pair in hidden)
        self.final = _linear(*last, bound=FINAL_BOUND, generator=generator)

    def forward(self, inputs: Tensor) -> Tensor:
        for layer in self.hidden:
            inputs = torch.relu_(layer(inputs))
        outputs: Tensor = self.final(inputs)
        return outputs


class Actor(nn.Module):
    """Observation (B, O), normalised -> action (B, M) in [-1, 1]; an excitation is `(action + 1) / 2`."""

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden: Sequence[int] = DEFAULT_HIDDEN,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.observation_size, self.action_size, self.hidden = observation_size, action_size, tuple(hidden)
        self.body = Mlp((observation_size, *hidden, action_size), generator or torch.Generator())

    def forward(self, observation: Tensor) -> Tensor:
        return torch.tanh(self.drive(observation))

    def drive(self, observation: Tensor) -> Tensor:
        """(B, M) what the tanh is taken of. Beyond ±3 the tanh is flat, and the actor hardly learns."""
        drive: Tensor = self.body(observation)
        return drive


class Critics(nn.Module):
    """C independent critics of the same inputs: (B, O) and (B, M) -> values (C, B). C is 1 in DDPG, 2 in TD3."""

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden: Sequence[int] = DEFAULT_HIDDEN,
        *,
        count: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        generator = generator or torch.Generator()
        sizes = (observation_size + action_size, *hidden, 1)
        # Separate networks: one batched matmul over both measured no faster on CPU.
        self.bodies = nn.ModuleList(Mlp(sizes, generator) for _ in range(count))

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        inputs = torch.cat((observation, action), dim=1)
        return torch.stack([body(inputs)[:, 0] for body in self.bodies])

    def first(self, observation: Tensor, action: Tensor) -> Tensor:
        """(B,) values of the first critic alone: the one the actor climbs."""
        value: Tensor = self.bodies[0](torch.cat((observation, action), dim=1))[:, 0]
        return value


def arrays_of(module: nn.Module, prefix: str) -> dict[str, NDArray[Any]]:
    """Copies of a module's parameters as arrays named `prefix/…`."""
    return {f"{prefix}/{name}": array_of(value) for name, value in module.state_dict().items()}


def load_arrays(module: nn.Module, arrays: Mapping[str, NDArray[Any]], prefix: str) -> None:
    """Copies the arrays named `prefix/…` into the module's parameters, in place.

    Raises: ValueError when one is missing or has another shape, before anything is changed.
    """
    state = module.state_dict()
    for name, value in state.items():
        found = arrays.get(f"{prefix}/{name}")
        if found is None or found.shape != tuple(value.shape):
            shape = "missing" if found is None else f"of shape {found.shape}"
            raise ValueError(
                f"tensor {prefix}/{name} is {shape}, needed {tuple(value.shape)}; "
                "was it saved with other hidden layers, observation or muscles?"
            )
    with torch.no_grad():
        for name, value in state.items():
            value.copy_(torch.tensor(arrays[f"{prefix}/{name}"]))


def array_of(tensor: Tensor) -> NDArray[Any]:
    """A copy that later updates do not change."""
    array: NDArray[Any] = np.array(tensor.detach().cpu().numpy())
    return array


def _linear(inputs: int, outputs: int, *, bound: float, generator: torch.Generator) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer
