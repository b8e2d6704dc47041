"""The layer-normalised residual network (SimBa, arXiv 2410.09754)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from agents.layers import FINAL_BOUND, Affine, Norm, Which, final_bound


class ResidualBlock(nn.Module):
    """`x + down(relu(up(norm(x))))`, four times as wide inside."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.norm = Norm(width)
        self.up = Affine(width, 4 * width, bound=width**-0.5, generator=generator)
        self.down = Affine(4 * width, width, bound=(4 * width) ** -0.5, generator=generator)

    def forward(self, inputs: Tensor, which: Which = None) -> Tensor:
        outputs: Tensor = inputs + self.down(torch.relu_(self.up(self.norm(inputs, which), which)), which)
        return outputs


class ResidualMlp(nn.Module):
    """A linear layer into one width, a residual block for every hidden size, a last normalisation, a linear layer out.

    Starts as `Mlp` does; layer normalisations start with gain 1 and shift 0.
    """

    in_bfloat16 = False
    """Whether hidden layers compute in it."""

    def __init__(self, sizes: Sequence[int], generator: torch.Generator, final: float | None = FINAL_BOUND) -> None:
        super().__init__()
        inputs, *widths, outputs = sizes
        if len(set(widths)) != 1:
            raise ValueError(
                f"hidden is {tuple(widths)}, needed the same width for every residual block, and one block or more: "
                "what a block adds has the size of what it is added to"
            )
        width = widths[0]
        self.embedding = Affine(inputs, width, bound=inputs**-0.5, generator=generator)
        self.blocks = nn.ModuleList(ResidualBlock(width, generator) for _ in widths)
        self.norm = Norm(width)
        self.final = Affine(width, outputs, bound=final_bound(final, width), generator=generator)

    def forward(self, *inputs: Tensor, which: Which = None) -> Tensor:
        """Inputs (B, I) each, side by side -> (B, K), or (C, B, K) of a stack.

        The last layer is float32: its sum would be too coarse in bfloat16, 0.5 at a value of 100.
        """
        together = torch.cat(inputs, dim=-1)
        with torch.autocast(together.device.type, torch.bfloat16, enabled=self.in_bfloat16):
            features = self.features(together, which)
        outputs: Tensor = self.final(features.float(), which)
        return outputs

    def features(self, inputs: Tensor, which: Which = None) -> Tensor:
        """(B, H), or (C, B, H) of a stack: what the final layer sees."""
        inputs = self.embedding(inputs, which)
        for block in self.blocks:
            inputs = block(inputs, which)
        features: Tensor = self.norm(inputs, which)
        return features
