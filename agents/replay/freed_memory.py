"""Large buffers that come and go: their memory stays with the process.

The allocator of glibc gives what is freed back to the system, and every page that it then takes anew is cleared first:
a third of the processor time that reading the log takes. Other allocators are left as they are.
"""

from __future__ import annotations

import ctypes
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 256 << 20
"""Free memory that is kept at most."""
_LARGEST_BYTES = 32 << 20
"""Buffers up to this size come out of it; the most that glibc takes for this."""


@cache
def keep_freed_memory() -> bool:
    """From now on, in the whole process; returns whether the allocator could be told."""
    try:
        tell = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return False
    return bool(tell(_M_TRIM_THRESHOLD, _KEPT_BYTES)) and bool(tell(_M_MMAP_THRESHOLD, _LARGEST_BYTES))
