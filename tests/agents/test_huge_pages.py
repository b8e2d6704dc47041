"""What an update works on lies in huge pages, where the system has them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_TOLD = """
import re
from pathlib import Path
import torch
from agents.huge_pages import use_huge_pages

def huge_mib(heap):
    total = 0
    for part in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text()):
        if part.split("\\n")[0].endswith("[heap]") == heap:
            total += sum(map(int, re.findall(r"AnonHugePages:\\s+(\\d+) kB", part)))
    return total // 1024

before = huge_mib(heap=True)
told = use_huge_pages()
kept = [torch.ones(4 << 18) for _ in range(20)]  # 4 MiB each
print(before, told, huge_mib(heap=True), sum(one.sum().item() for one in kept) == 20 * (4 << 18))
"""


def _has_them() -> bool:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return setting.exists() and "[never]" not in setting.read_text()


def test_tensors_come_to_lie_in_huge_pages() -> None:
    done = subprocess.run([sys.executable, "-c", _TOLD], capture_output=True, text=True, check=True)
    before, told, after, whole = done.stdout.split()
    assert whole == "True"
    if told == "False" or not _has_them():
        pytest.skip("this system does not give huge pages to the heap")
    if int(after) == int(before):
        pytest.skip("this system had no huge page to give")
    assert int(after) - int(before) >= 70  # of 80 MiB
