"""A tree of sums: draws leaves in proportion to their values, thousands at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_FAN = 16
"""Children of a node. Every level costs a handful of numpy calls, so few broad levels are faster than twenty narrow
ones: of 4, 8, 16, 32 and 64 this one was, with batches of 256 and of 4,096."""


class SumTree:
    """`size` leaves with values from 0 up. A node is the sum of its children as they are now: no error adds up."""

    def __init__(self, size: int) -> None:
        self.size = size
        counts = [max(size, 2)]
        while counts[-1] > 1:
            counts.append(-(-counts[-1] // _FAN))
        self._levels = [np.zeros(-(-count // _FAN) * _FAN) for count in counts[:-1]]
        """From the leaves up; each filled up with zeros to whole families."""

    @property
    def total(self) -> float:
        """Sum of all leaves."""
        return float(self._levels[-1].sum())

    def values(self, leaf: Integers | slice) -> Floats:
        """(B,) of leaves; of a stretch of them not a copy."""
        values: Floats = self._levels[0][leaf]
        return values

    def largest(self) -> float:
        """The largest leaf; reads them all."""
        return float(self._levels[0].max())

    def set(self, leaf: Integers, value: Floats | float) -> None:
        """Of a leaf that is named twice the last value counts."""
        self._levels[0][leaf] = value
        node = leaf
        for below, level in zip(self._levels, self._levels[1:], strict=False):
            node = node // _FAN
            level[node] = below.reshape(-1, _FAN)[node].sum(axis=1)

    def find(self, mass: Floats) -> Integers:
        """(B,) the leaf in which each of `mass` (B,), in [0, total), falls, when all lie end to end. Never an empty
        one."""
        node = np.zeros(len(mass), np.int64)
        rest = mass
        rows = np.arange(len(mass))
        for level in reversed(self._levels):
            children = level.reshape(-1, _FAN)[node]
            ends = children.cumsum(axis=1)
            # Rounding may put a mass at or beyond the end of all: the last child with a value has it then.
            within = np.minimum(rest, np.nextafter(ends[:, -1], 0.0))
            child = (ends <= within[:, None]).sum(axis=1)
            rest = np.maximum(within - (ends[rows, child] - children[rows, child]), 0.0)
            node = node * _FAN + child
        return node
