"""How much memory there is to take: the machine's, or what a container or batch job is allowed of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

_UNLIMITED = 1 << 60
"""Control groups of the first version give a number near 2**63 for no limit."""


def available_bytes(proc: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")) -> int:
    """What this process can still take: of the machine's memory, and of every control group that it is in."""
    left = [int(psutil.virtual_memory().available)]
    for group, names in _groups(proc, mounted):
        limit, used = (_number(group / name) for name in names)
        if limit is not None and used is not None and limit < _UNLIMITED:
            # Cached files count as used until somebody needs the room.
            left.append(limit - used + _inactive_files(group / "memory.stat"))
    return max(0, min(left))


def _groups(proc: Path, mounted: Path) -> Iterator[tuple[Path, tuple[str, str]]]:
    """The folder of each group that limits this process, and the names of its limit and of what is used."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:  # no control groups here
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = mounted, ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            root, names = mounted / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        # In a container the path is the host's, and the mounted root is the container's own group.
        own = root / path.lstrip("/")
        for folder in (own, *own.parents):
            if folder.is_relative_to(root):
                yield folder, names


def _number(file: Path) -> int | None:
    """None where there is no such file, or it says `max`."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _inactive_files(stat: Path) -> int:
    try:
        lines = stat.read_text().splitlines()
    except OSError:
        return 0
    found = dict(line.split(" ", 1) for line in lines if " " in line)
    return int(found.get("total_inactive_file", found.get("inactive_file", "0")))
