"""How the engine's inner functions are compiled: only ever called by other machine code.

So they need no wrappers for Python and C, whose compilation takes as long as that of many of the functions themselves.
A division by zero gives an infinity, as in any IEEE arithmetic; the integrator then refuses the step.
"""

from __future__ import annotations

from typing import Any

from numba import njit

inner: Any = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")
