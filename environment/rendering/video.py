"""Pictures to an mp4 file that every player and browser plays: H.264 by PyAV, which brings its encoder."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from environment.timestep import CONTROL_STEP_S

FRAMES_PER_S = 30
_QUALITY = "20"
"""x264's constant rate factor: below what an eye tells from the original, some 1 MB for 10 s."""


def frame_steps(steps: int, frames_per_s: int = FRAMES_PER_S, speed: float = 1.0) -> NDArray[np.int64]:
    """Which control step each frame shows, of an episode of so many, in real time or at another `speed`.

    The first frame is the reset state. The last one shows the last step, however short its time.
    """
    if steps < 0 or frames_per_s < 1 or not speed > 0:
        raise ValueError(f"{steps} steps at {frames_per_s} frames/s and speed {speed:g}: all must be above 0")
    between = speed / (frames_per_s * CONTROL_STEP_S)
    shown = np.rint(np.arange(0.0, steps, between)).astype(np.int64)
    return np.append(shown[shown < steps], steps)


def write_video(path: Path, frames: Iterable[NDArray[np.uint8]], frames_per_s: int = FRAMES_PER_S) -> int:
    """Writes frames (H, W, 3) of one even size and returns how many there were. The file appears when it is whole.

    Raises: FileNotFoundError when there is no such folder; ValueError for no frame, or one of another size.
    """
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"no folder {path.absolute().parent} to write {path.name} in")
    unfinished = path.with_name(f".{path.name}.part")
    try:
        count = _encode(unfinished, frames, frames_per_s)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _encode(path: Path, frames: Iterable[NDArray[np.uint8]], frames_per_s: int) -> int:
    count = 0
    # The index first, so that a browser plays what it has not loaded to the end.
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("libx264", rate=frames_per_s, options={"crf": _QUALITY, "preset": "veryfast"})
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, frames_per_s)
        for picture in frames:
            if count == 0:
                stream.height, stream.width = picture.shape[:2]
            if picture.shape != (stream.height, stream.width, 3) or stream.height % 2 or stream.width % 2:
                raise ValueError(
                    f"frame {count} has shape {picture.shape}, needed ({stream.height}, {stream.width}, 3) with even "
                    "numbers, as the first one"
                )
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = count
            file.mux(stream.encode(frame))
            count += 1
        if count == 0:
            raise ValueError("there is no frame to make a video of")
        file.mux(stream.encode(None))
    return count
