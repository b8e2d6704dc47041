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

    in_bfloat16 = False
    """Whether hidden layers compute in it."""

    def __init__(self, sizes: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        *hidden, last = itertools.pairwise(sizes)
        self.hidden = nn.ModuleList(_linear(*pair, bound=pair[0] ** -0.5, generator=generator) for pair in hidden)
        self.final = _linear(*last, bound=FINAL_BOUND, generator=generator)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.final(_hidden(self, inputs))
        return outputs

    def features(self, inputs: Tensor) -> Tensor:
        """(B, H) what the final layer sees."""
        for layer in self.hidden:
            inputs = torch.relu_(layer(inputs))
        return inputs


class ResidualBlock(nn.Module):
    """`x + down(relu(up(norm(x))))`, four times as wide inside (SimBa, arXiv 2410.09754)."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = _linear(width, 4 * width, bound=width**-0.5, generator=generator)
        self.down = _linear(4 * width, width, bound=(4 * width) ** -0.5, generator=generator)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = inputs + self.down(torch.relu_(self.up(self.norm(inputs))))
        return outputs


class ResidualMlp(nn.Module):
    """A linear layer into one width, a residual block for every hidden size, a last normalisation, a linear layer out.

    Starts as `Mlp` does; layer normalisations start with gain 1 and shift 0.
    """

    in_bfloat16 = False
    """Whether hidden layers compute in it."""

    def __init__(self, sizes: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        inputs, *widths, outputs = sizes
        if len(set(widths)) != 1:
            raise ValueError(
                f"hidden is {tuple(widths)}, needed the same width for every residual block, and one block or more: "
                "what a block adds has the size of what it is added to"
            )
        width = widths[0]
        self.embedding = _linear(inputs, width, bound=inputs**-0.5, generator=generator)
        self.blocks = nn.ModuleList(ResidualBlock(width, generator) for _ in widths)
        self.norm = nn.LayerNorm(width)
        self.final = _linear(width, outputs, bound=FINAL_BOUND, generator=generator)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.final(_hidden(self, inputs))
        return outputs

    def features(self, inputs: Tensor) -> Tensor:
        """(B, H) what the final layer sees."""
        inputs = self.embedding(inputs)
        for block in self.blocks:
            inputs = block(inputs)
        features: Tensor = self.norm(inputs)
        return features


NETWORKS: Mapping[str, type[Mlp] | type[ResidualMlp]] = {"mlp": Mlp, "residual": ResidualMlp}
"""By the name that a stored policy gives."""


class Actor(nn.Module):
    """Observation (B, O), normalised -> action (B, M) in [-1, 1]; an excitation is `(action + 1) / 2`."""

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden: Sequence[int] = DEFAULT_HIDDEN,
        *,
        network: str = "mlp",
        generator: torch.Generator | None = None,
    ) -> None:
        """Raises: ValueError for a network of no known name, or hidden sizes that it can not have."""
        super().__init__()
        self.observation_size, self.action_size, self.hidden = observation_size, action_size, tuple(hidden)
        self.network = network
        self.body = _network(network, (observation_size, *hidden, action_size), generator or torch.Generator())

    def forward(self, observation: Tensor) -> Tensor:
        return torch.tanh(self.drive(observation))

    def drive(self, observation: Tensor) -> Tensor:
        """(B, M) what the tanh is taken of. Beyond ±3 the tanh is flat, and the actor hardly learns."""
        drive: Tensor = self.body(observation)
        return drive


class Critics(nn.Module):
    """C independent critics of the same inputs: (B, O) and (B, M) -> values (C, B), or (C, B, K) with K > 1 outputs."""

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden: Sequence[int] = DEFAULT_HIDDEN,
        *,
        count: int = 1,
        outputs: int = 1,
        network: str = "mlp",
        generator: torch.Generator | None = None,
    ) -> None:
        """Raises: ValueError as `Actor`."""
        super().__init__()
        generator = generator or torch.Generator()
        sizes = (observation_size + action_size, *hidden, outputs)
        # Separate networks: on a CPU one batched product over all is no faster, for 2 or for 10 (decision 0015).
        self.bodies = nn.ModuleList(_network(network, sizes, generator) for _ in range(count))

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        inputs = torch.cat((observation, action), dim=1)
        return torch.stack([body(inputs).squeeze(-1) for body in self.bodies])

    def some(self, which: Sequence[int], observation: Tensor, action: Tensor) -> Tensor:
        """As calling it, of some critics alone."""
        inputs = torch.cat((observation, action), dim=1)
        return torch.stack([self.bodies[index](inputs).squeeze(-1) for index in which])

    def first(self, observation: Tensor, action: Tensor) -> Tensor:
        """(B,) or (B, K): the outputs of the first critic alone."""
        outputs: Tensor = self.bodies[0](torch.cat((observation, action), dim=1)).squeeze(-1)
        return outputs


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


def _network(name: str, sizes: Sequence[int], generator: torch.Generator) -> Mlp | ResidualMlp:
    if name not in NETWORKS:
        raise ValueError(f"the network is {name!r}, needed one of {', '.join(NETWORKS)}; stored by newer code?")
    return NETWORKS[name](sizes, generator)


def _hidden(body: Mlp | ResidualMlp, inputs: Tensor) -> Tensor:
    """(B, H) float32: the last layer's sum would be too coarse in bfloat16, 0.5 at a value of 100."""
    if not body.in_bfloat16:
        return body.features(inputs)
    with torch.autocast(inputs.device.type, torch.bfloat16):
        features = body.features(inputs)
    return features.float()


def _linear(inputs: int, outputs: int, *, bound: float, generator: torch.Generator) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer
