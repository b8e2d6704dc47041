"""Which seeds episodes may have: those of scores are never those of training."""

from __future__ import annotations

import numpy as np

RESERVED_SEEDS = 2**16
"""Seeds below it are for scores: whatever draws the seed of an episode draws it from here on."""


def drawn_seed(generator: np.random.Generator) -> int:
    """A seed in RESERVED_SEEDS..2**32-1, for an episode that nobody gave one."""
    return int(generator.integers(RESERVED_SEEDS, 2**32))
