"""Videos that are read again."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from environment.rendering.video import frame_steps, write_video

Picture = NDArray[np.uint8]


def plain(level: int, size: tuple[int, int] = (64, 96)) -> Picture:
    return np.full((*size, 3), level, np.uint8)


def test_frames_show_the_steps_in_real_time() -> None:
    assert frame_steps(10).tolist() == [0, 3, 7, 10]
    assert len(frame_steps(1000)) == 301
    assert np.diff(frame_steps(1000)).max() <= 4
    assert frame_steps(0).tolist() == [0]
    assert frame_steps(100, 10).tolist() == list(range(0, 101, 10))


def test_the_last_frame_is_the_last_step() -> None:
    for steps in range(1, 60):
        shown = frame_steps(steps)
        assert shown[-1] == steps
        assert (np.diff(shown) > 0).all()


def test_a_video_holds_every_frame_in_order(tmp_path: Path) -> None:
    levels = list(range(10, 250, 12))
    path = tmp_path / "a.mp4"
    assert write_video(path, (plain(level) for level in levels)) == len(levels)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == Fraction(30)
        assert (stream.width, stream.height, stream.codec_context.pix_fmt) == (96, 64, "yuv420p")
        found = [frame.to_ndarray(format="rgb24").mean() for frame in file.decode(stream)]
    np.testing.assert_allclose(found, levels, atol=4)


def test_a_browser_can_play_before_it_has_all(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, [plain(9)] * 3)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_a_video_that_is_not_finished_leaves_no_file(tmp_path: Path) -> None:
    def breaking() -> Iterator[Picture]:
        yield plain(1)
        raise RuntimeError("the lights went out")

    path = tmp_path / "a.mp4"
    path.write_text("the old one")
    with pytest.raises(RuntimeError, match="lights"):
        write_video(path, breaking())
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.mp4", "the old one")]


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([], "no frame"),
        ([plain(1), plain(1, (64, 98))], "frame 1 has shape"),
        ([plain(1, (63, 96))], "even numbers"),
        ([plain(1)[..., :1]], "frame 0 has shape"),
    ],
)
def test_frames_that_make_no_video_are_refused(frames: list[Picture], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        write_video(tmp_path / "a.mp4", frames)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere to write a\.mp4"):
        write_video(tmp_path / "nowhere" / "a.mp4", [plain(1)])
