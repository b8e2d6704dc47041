"""Short forms on the command line for where a new run's episodes start."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NamedTuple

from agents.plain import ConfigError
from agents.starts_config import CHOICES

DEFAULT_SHARE = 0.4
"""Of the episodes, for each kind of start that is asked for without a share."""


class Wish(NamedTuple):
    """One setting that an option is short for."""

    option: str
    """As it was written."""
    setting: str
    value: str
    """As `--set` takes it."""
    written: bool = True
    """Else it is a default, which gives way to a configuration file's."""


def add_starts_options(parser: argparse.ArgumentParser) -> None:
    """For `starts_wishes`."""
    parser.add_argument(
        "--starts",
        action="append",
        default=[],
        metavar="KIND[=SHARE]",
        help="episodes start elsewhere as well: pushed, or replay:best, replay:recent, replay:any for states of stored "
        f"episodes (share of the episodes: {DEFAULT_SHARE})",
    )
    parser.add_argument(
        "--motion",
        nargs="+",
        metavar="FILE",
        help=f"episodes start in states of motion files as well; the last may end in =SHARE (default: {DEFAULT_SHARE})",
    )


def starts_wishes(options: argparse.Namespace) -> list[Wish]:
    """Raises: ConfigError."""
    wishes: list[Wish] = []
    for text in options.starts:
        kind, share = _with_share(text, f"--starts {text}")
        name, _, choice = kind.partition(":")
        if kind != "pushed" and (name != "replay" or choice not in ("", *CHOICES)):
            raise ConfigError(f"--starts {text}: needed pushed, {', '.join(f'replay:{one}' for one in CHOICES)}")
        wishes.append(_share(f"--starts {text}", f"starts.{name}_share", share))
        if choice:
            wishes.append(Wish(f"--starts {text}", "starts.replay", choice))
    if options.motion:
        *files, last = options.motion
        option = f"--motion {' '.join(options.motion)}"
        # A file may have an equals sign in its name.
        last, share = (last, None) if Path(last).exists() else _with_share(last, option)
        # Workers may have another working folder.
        paths = [str(Path(file).absolute()) for file in (*files, last)]
        wishes += [Wish(option, "starts.motions", json.dumps(paths)), _share(option, "starts.motion_share", share)]
    _refuse_two_answers(wishes)
    return wishes


def _share(option: str, setting: str, share: str | None) -> Wish:
    return Wish(option, setting, share or f"{DEFAULT_SHARE}", written=share is not None)


def _with_share(text: str, option: str) -> tuple[str, str | None]:
    rest, equals, share = text.rpartition("=")
    if not equals:
        return text, None
    try:
        return rest, f"{float(share)}"
    except ValueError:
        raise ConfigError(f"{option}: {share!r} is no share of the episodes, needed a number in 0..1") from None


def _refuse_two_answers(wishes: list[Wish]) -> None:
    asked: dict[str, Wish] = {}
    for wish in wishes:
        other = asked.setdefault(wish.setting, wish)
        if other is not wish:
            raise ConfigError(f"{other.option} and {wish.option} both ask for {wish.setting}; leave one out")
