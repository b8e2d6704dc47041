"""What a run says of the disk that it fills."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.disk_room import DiskRoom

GB = 1_000_000_000


class Disk:
    """One whose room and clock are set by hand."""

    def __init__(self, free_gb: float) -> None:
        self.free_gb, self.minute = free_gb, 0.0

    def room(self) -> DiskRoom:
        return DiskRoom(Path("data"), lambda _: int(self.free_gb * GB), lambda: 60 * self.minute)

    def after(self, minute: float, free_gb: float) -> None:
        self.minute, self.free_gb = minute, free_gb


def test_it_tells_when_the_disk_is_full_at_the_pace_so_far() -> None:
    disk = Disk(100)
    room = disk.room()
    assert room.text() == "100 GB free"

    disk.after(60, 92)
    assert room.text() == "92 GB free, full in 12 h"
    disk.after(75, 80)
    assert room.text() == "80 GB free, full in 5 h"
    disk.after(90, 40)
    assert room.text() == "40 GB free, full in 60 min"


@pytest.mark.parametrize(("minute", "free_gb"), [(1, 90), (60, 101)], ids=["first two minutes", "no fuller"])
def test_without_a_pace_nothing_is_said_of_the_end(minute: float, free_gb: float) -> None:
    disk = Disk(100)
    room = disk.room()
    disk.after(minute, free_gb)
    assert room.text() == f"{free_gb} GB free"
    assert room.warning() is None


@pytest.mark.parametrize(("free_gb", "said"), [(30, "30.0 GB left and will be full in 26 min"), (4, "4.0 GB left and")])
def test_it_warns_once_when_less_than_an_hour_or_little_room_is_left(free_gb: float, said: str) -> None:
    disk = Disk(100)
    room = disk.room()
    disk.after(60, free_gb)
    warning = room.warning()
    assert warning is not None
    assert said in warning
    assert "another DATA_DIR" in warning
    assert room.warning() is None


def test_it_warns_again_when_room_was_made_and_went() -> None:
    disk = Disk(4)
    room = disk.room()
    assert room.warning()
    disk.after(10, 50)
    assert room.warning() is None
    disk.after(20, 3)
    assert room.warning()


def test_a_real_disk_can_be_looked_at(tmp_path: Path) -> None:
    assert DiskRoom(tmp_path).text().endswith(" GB free")
