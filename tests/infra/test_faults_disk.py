"""Small disks that become full, whatever else is done on them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.faults.disk import TmpfsDisk, small_disk

_WRITES = """
import sys
file = open(sys.argv[1], "wb", 0)
file.write(bytes(1 << 20))
print("ready", flush=True)
input()
print(file.write(bytes(4 << 20)))
"""


@pytest.mark.parametrize("namespaces", [True, False])
def test_a_small_disk_becomes_full_and_has_room_again(tmp_path: Path, namespaces: bool) -> None:
    with small_disk(tmp_path / "disk", 16 << 20, namespaces=namespaces) as disk:

        def written(*, full: bool) -> int:
            """Of 4 MiB, by a process that has written 1 MiB before."""
            command = [sys.executable, "-c", _WRITES, str(disk.folder / f"{full}.file")]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            if full:
                disk.fill(process.pid, 2 << 20)
            return int(process.communicate("\n", timeout=60.0)[0])

        assert written(full=True) < 4 << 20
        disk.make_room()
        assert written(full=False) == 4 << 20


_TAKES_AND_GIVES = """
import os, sys
file = open(sys.argv[1], "wb", 0)
print("ready", flush=True)
while True:
    try:
        os.posix_fallocate(file.fileno(), 0, 8 << 20)
    except OSError:
        pass
    os.ftruncate(file.fileno(), 0)
"""


def a_tmpfs_can_be_mounted(folder: Path) -> bool:
    """Asked of the machine, not of the code under test: its mistakes are no reason to skip."""
    mounts = ("--mount", "mount", "-t", "tmpfs", "tmpfs", str(folder))
    ways = [("unshare", *mounts), ("unshare", "--user", "--map-root-user", *mounts)]
    return shutil.which("unshare") is not None and any(
        subprocess.run(way, capture_output=True, check=False).returncode == 0 for way in ways
    )


def test_a_disk_is_filled_whatever_a_program_takes_of_it_meanwhile(tmp_path: Path) -> None:
    if not a_tmpfs_can_be_mounted(tmp_path):
        pytest.skip("this machine lets nobody mount a tmpfs; the limit that stands in for it is of one process alone")
    with small_disk(tmp_path / "disk", 64 << 20) as disk:
        assert isinstance(disk, TmpfsDisk)
        command = [sys.executable, "-c", _TAKES_AND_GIVES, str(disk.folder / "taken")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                for _ in range(10):
                    disk.fill(process.pid, 1 << 20)
                    assert (disk.folder / "ballast").stat().st_size >= (64 - 8 - 2) << 20
                    disk.make_room()
            finally:
                process.kill()
