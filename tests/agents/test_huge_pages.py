"""What an update works on lies where huge pages were asked for; whether the system then has some left is its affair."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

_SAY = """
import re
from pathlib import Path
import torch
from agents.huge_pages import use_huge_pages

told = use_huge_pages()
kept = [torch.ones(4 << 18) for _ in range(20)]  # 4 MiB each
asked = []
for part in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())[1:]:
    if "hg" in re.search(r"VmFlags:(.*)", part)[1].split():
        asked.append(range(*(int(end, 16) for end in part.split()[0].split("-"))))
inside = sum(any(one.data_ptr() in place for place in asked) for one in kept)
print(told, inside, sum(one.sum().item() for one in kept) == 20 * (4 << 18))
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not Path("/sys/kernel/mm/transparent_hugepage").is_dir(),
    reason="huge pages are asked for with glibc, on a Linux that has them",
)
def test_tensors_come_to_lie_where_huge_pages_were_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", _SAY], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "20", "True"]
