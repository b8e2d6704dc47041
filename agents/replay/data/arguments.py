"""Arguments of `python -m agents replay …` that choose episodes."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta
from typing import get_args

from agents.replay.data.selection import Selection
from agents.replay.runs import Purpose

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def choose(added: argparse.ArgumentParser) -> None:
    """Arguments for `selection`."""
    _purpose(added)
    added.add_argument("--ended", metavar="REASON", help="e.g. fall, time_limit, aborted, simulator_error")
    added.add_argument("--min-return", type=float, metavar="R")
    added.add_argument("--max-return", type=float, metavar="R")
    added.add_argument("--worker", metavar="NAME")
    added.add_argument("--since", type=moment, metavar="WHEN", help="finished since: a date, or 30m, 12h, 7d ago")
    added.add_argument("--newest", type=positive, metavar="N", help="of these, so many that finished last")


def selection(options: argparse.Namespace) -> Selection:
    """What `choose`'s arguments say."""
    names = ("ended", "worker", "min_return", "max_return", "since", "newest")
    return Selection(purposes=tuple(options.purpose or ()), **{name: getattr(options, name) for name in names})


def choose_to_prune(added: argparse.ArgumentParser) -> None:
    """What to delete, and how seriously."""
    what = added.add_mutually_exclusive_group(required=True)
    what.add_argument("--all", action="store_true", help="every finished episode")
    what.add_argument("--older-than", type=moment, metavar="WHEN", help="finished earlier: a date, or 30m, 12h, 7d ago")
    what.add_argument("--keep-timesteps", type=positive, metavar="N", help="all but the newest: so many stay at most")
    _purpose(added)
    added.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    added.add_argument("--yes", action="store_true", help="delete")
    added.add_argument("--strand-checkpoint", action="store_true", help="also what the newest checkpoint needs")


def moment(text: str) -> datetime:
    """A date and time, in UTC unless it says otherwise; or so long ago."""
    ago = re.fullmatch(r"(\d+)([mhd])", text)
    if ago:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}, needed e.g. 7d, 12h, 30m or 2026-11-21T18:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def positive(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} must be at least 1")
    return number


def _purpose(added: argparse.ArgumentParser) -> None:
    purposes = get_args(Purpose)
    added.add_argument("--purpose", action="append", choices=purposes, help="may be given more than once")
