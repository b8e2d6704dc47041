"""The start of an episode."""

from __future__ import annotations

from numba import njit

from environment.physics.native.advance import settle_fibers
from environment.physics.native.lanes import zeros


@njit("void(i8[::1], i8[::1], i8[::1], i8[::1])", nogil=True, cache=True)
def settle(tables, bodies, run, work):
    """See `native/equilibrium.py`."""
    settle_fibers(zeros(1), tables, bodies, run, work)
