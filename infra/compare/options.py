"""The command line of `compare` and `ablate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.compare.ablations import Ablation


def add_compare_options(parser: argparse.ArgumentParser) -> None:
    """For groups of runs."""
    parser.add_argument(
        "groups", nargs="+", metavar="LABEL=RUN,…", help="runs by name, or a report's curves.json, one group a word"
    )
    parser.add_argument("--updates", type=int, metavar="N", help="budget (default: all that each run has made)")
    _add_files(parser)


def add_ablate_options(parser: argparse.ArgumentParser) -> None:
    """For `ablation_of`."""
    parser.add_argument("--recipe", default="walk", metavar="NAME", help="default: %(default)s")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], metavar="S", help="default: 1 2 3")
    parser.add_argument("--updates", type=int, default=160_000, metavar="N", help="of every run (default: %(default)s)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="some variants (default: all)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting for all of them")
    parser.add_argument("--prefix", metavar="P", help="of the runs' names (default: the recipe's)")
    _add_files(parser)


def ablation_of(options: argparse.Namespace) -> Ablation:
    """Raises: ValueError."""
    from infra.compare.ablations import Ablation

    return Ablation(
        recipe=options.recipe,
        seeds=tuple(options.seeds),
        updates=options.updates,
        only=tuple(options.only),
        settings=tuple(options.set),
        prefix=options.prefix,
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plot", type=Path, metavar="FILE", help="save a picture of the curves here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the figures here")
