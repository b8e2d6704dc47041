"""Bodies one at a time."""

from __future__ import annotations

from numba import njit

from environment.physics.native.advance import advance as _advance
from environment.physics.native.lanes import zeros


@njit("void(i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], b1, i8, f8)", nogil=True, cache=True)
def advance(tables, method, bodies, run, work, skip, number, duration):
    """See `native/advance.py`."""
    _advance(zeros(1), 1, tables, method, bodies, run, work, skip, number, duration)
