"""`python -m agents watch`: an episode as a video, or played in the browser.

Without --video and --serve it does both: the video lies in the data folder then.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.connections import Connections, load_env
from agents.official.options import BEST
from agents.stopping import StopFlag

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from environment.rendering.figure import Figure
    from environment.rendering.motion import Motion

SEED = 11
"""The first of the challenge's grader."""
_SUFFIX = ".mp4"


def watch(options: argparse.Namespace, stop: StopFlag) -> None:
    """Shows a walk: bones, muscles coloured by activation, the target; as a video, or in the browser."""
    _check(options)
    load_env()  # DATA_DIR may stand in .env
    both = options.video is None and not options.serve
    video = _default_video() if both else options.video
    motion = _motion(options, stop)
    total = motion.reward.sum()
    print(f"{motion.title}: {motion.duration_s:.2f} s, return {total:,.0f}, ended: {motion.ended}", flush=True)

    from environment.rendering.figure import Figure
    from environment.rendering.graphics import NoGraphics

    figure = Figure.of(motion)
    if video is not None and not stop():
        try:
            _film(figure, video, stop)
        except NoGraphics as error:
            if not both:
                raise
            print(f"no video: {error}", file=sys.stderr)
    if (both or options.serve) and not stop():
        _serve(figure, options.host, options.port, stop)


def add_watch(commands: Any) -> None:
    """Adds the sub-command `watch` to the sub-parsers of `python -m agents`."""
    added: argparse.ArgumentParser = commands.add_parser(
        "watch",
        help="show a walk as a video or in the browser: the policy in the box, another one, or a stored episode",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(command=watch, name="watch")
    what = added.add_mutually_exclusive_group()
    what.add_argument(
        "--policy",
        metavar="FILE",
        help="a policy's file or S3 URI, or `random` for random actions (default: the policy in the box)",
    )
    what.add_argument("--run", metavar="NAME", help="a policy that this run has published")
    what.add_argument("--episode", type=int, metavar="ID", help="a stored episode, of whichever run")
    added.add_argument("--version", type=_version, metavar="N|best", help="of the run's policies (default: the newest)")
    added.add_argument("--seed", type=int, metavar="S", help=f"of the episode that is played (default: {SEED})")
    added.add_argument("--video", type=Path, metavar="FILE.mp4", help="write the video there")
    added.add_argument("--serve", action="store_true", help="play it in the browser until Ctrl-C")
    added.add_argument("--host", default="127.0.0.1", help="address to serve on (default: %(default)s)")
    added.add_argument(
        "--port", type=int, default=8080, help="first port to try for the browser (default: %(default)s)"
    )
    added.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")


def _check(options: argparse.Namespace) -> None:
    """Raises: ValueError or FileNotFoundError for what would only fail after the episode."""
    if options.version is not None and options.run is None:
        raise ValueError("--version is one of a run; needed --run NAME too")
    if options.seed is not None and options.episode is not None:
        raise ValueError("a stored episode has its seed already; leave --seed out")
    if options.seed is not None and not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed {options.seed} is outside 0..{2**32 - 1}")
    if not 0 <= options.port < 2**16:
        raise ValueError(f"--port {options.port} is outside 0..{2**16 - 1}")
    video: Path | None = options.video
    if video is not None and video.suffix != _SUFFIX:
        raise ValueError(f"--video {video} must end in {_SUFFIX}: that is what is written")
    if video is not None and not video.absolute().parent.is_dir():
        raise FileNotFoundError(f"no folder {video.absolute().parent} to write {video.name} in")


def _motion(options: argparse.Namespace, stop: StopFlag) -> Motion:
    """The episode that is asked for."""
    from agents.build import open_replay, open_store
    from agents.official.sources import in_the_box, named, of_run
    from agents.watch.episodes import RANDOM, played, played_at_random, stored

    if options.episode is not None:
        with closing(open_replay(Connections.from_environment())) as replay:
            return stored(replay, options.episode)
    seed = SEED if options.seed is None else options.seed
    if options.policy == RANDOM:
        return played_at_random(seed, stop)
    if options.run is None:
        source = in_the_box() if options.policy is None else named(options.policy)
        # Of a path, a picture has room for the file's name.
        file = options.policy is not None and Path(options.policy).is_file()
        return played(replace(source, name=source.name.rpartition("/")[2]) if file else source, seed, stop)
    connections = Connections.from_environment()
    with closing(open_replay(connections)) as replay, closing(open_store(connections)) as store:
        replay.run(options.run)
        source = of_run(replay, store, options.run, options.version)
    return played(source, seed, stop)


def _film(figure: Figure, path: Path, stop: StopFlag) -> None:
    from agents.replay.data.progress import ProgressLine
    from environment.rendering.stage import Stage
    from environment.rendering.video import frame_steps, write_video

    steps = frame_steps(figure.motion.steps)
    begun_s = time.monotonic()
    with closing(Stage(figure)) as stage, ProgressLine("video", stop, "frames") as progress:

        def pictures() -> Iterator[NDArray[np.uint8]]:
            for done, picture in enumerate(stage.film(steps)):
                progress(done, len(steps))
                yield picture

        count = write_video(path, pictures())
    seconds, size = time.monotonic() - begun_s, path.stat().st_size
    print(f"{path}: {count} frames in {seconds:.1f} s, {size / 1e6:.1f} MB", flush=True)


def _serve(figure: Figure, host: str, port: int, stop: StopFlag) -> None:
    from environment.rendering.player import Player

    with closing(Player(figure, host=host, port=port)) as player:
        print(f"open {player.url} in a browser; Ctrl-C ends it", flush=True)
        player.play(stop.wait)


def _default_video() -> Path:
    from agents.config import data_dir

    folder = data_dir() / "watch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"walk{_SUFFIX}"


def _version(text: str) -> int | str:
    return text if text == BEST else int(text)
