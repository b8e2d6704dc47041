"""Buffers that come and go are not taken from the system anew each time."""

from __future__ import annotations

import subprocess
import sys

import pytest

_COUNT = """
import resource
from agents.replay.freed_memory import keep_freed_memory

def faults():
    for _ in range(5):
        [bytearray(8 << 20) for _ in range(4)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        [bytearray(8 << 20) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), keep_freed_memory(), faults())
"""


def test_memory_that_was_freed_is_used_again() -> None:
    done = subprocess.run([sys.executable, "-c", _COUNT], capture_output=True, text=True, check=True)
    before, told, after = done.stdout.split()
    pages = 20 * (8 << 20) // 4096
    if told == "False" or int(before) < pages / 2:
        pytest.skip("another allocator than glibc's, or pages so large that they are not worth keeping")
    assert int(after) < pages / 100
