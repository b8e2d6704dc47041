"""Which seeds episodes may have, and the streams of random numbers that follow from one."""

from __future__ import annotations

import numpy as np

RESERVED_SEEDS = 2**16
"""Seeds below it are for scores: whatever draws the seed of an episode draws it from here on."""


def drawn_seed(generator: np.random.Generator) -> int:
    """A seed in RESERVED_SEEDS..2**32-1, for an episode that nobody gave one."""
    return int(generator.integers(RESERVED_SEEDS, 2**32))


HOLDS, STARTS, INTEGRATION, LATE_TARGETS = 1, 2, 3, 4
"""Streams of an episode: each thing that is random in it draws from one of its own, so that none disturbs another."""


def stream(seed: int, of: int) -> np.random.Generator:
    """The episode's random numbers for one of the purposes above."""
    return np.random.default_rng([seed, of])
