"""The options of `python -m agents evaluate --official`. Apart from what they lead to, which loads torch."""

from __future__ import annotations

import argparse
from pathlib import Path

from agents.official.wanted import ROUNDS

BEST = "best"
_ONLY_OFFICIAL = ("policy", "episodes", "workers", "rounds", "physics", "max_steps", "json", "card", "fresh")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of official scoring, which are refused without `--official`."""
    added = parser.add_argument_group(
        "official scores",
        "A policy on OpenSim as osim-rl integrates it, on seeds that no training draws, beside the baselines on the "
        "same seeds and the same episodes on the native engine. Finished episodes are kept and not played again.",
    )
    added.add_argument("--official", action="store_true", help="score once, comparable with the challenge")
    added.add_argument(
        "--policy",
        metavar="FILE|URI",
        help="a file of `export-policy --format safetensors`, or s3://BUCKET/runs/NAME/versions/NUMBER "
        "(default: the policy in the box, or --run's)",
    )
    added.add_argument("--episodes", type=int, metavar="N", help="held-out seeds, beside the grader's 3 (default: 50)")
    added.add_argument("--workers", type=int, metavar="K", help="processes that simulate (default: one per core)")
    added.add_argument("--rounds", nargs="+", choices=ROUNDS, help="of the challenge (default: both)")
    added.add_argument(
        "--physics", choices=("opensim", "native"), help="native: on the native engine alone, in seconds"
    )
    added.add_argument("--max-steps", type=int, metavar="N", help="shorter episodes, to try it out: not official")
    added.add_argument("--json", type=Path, metavar="FILE", help="write rows, episodes and gait card there")
    added.add_argument(
        "--card", type=Path, metavar="FILE.png", help="draw the gait card there, with its numbers in FILE.card.json"
    )
    added.add_argument("--fresh", action="store_true", help="play again what a scoring before has kept")


def misplaced(options: argparse.Namespace) -> str | None:
    """What is wrong with the combination of options, if anything is."""
    given = [f"--{name.replace('_', '-')}" for name in _ONLY_OFFICIAL if getattr(options, name)]
    if not options.official:
        if options.run is None:
            return "the following arguments are required: --run (or --official)"
        if given:
            return f"{', '.join(given)} belong to --official"
        return "--version best belongs to --official" if options.version == BEST else None
    if options.policy is not None and options.run is not None:
        return "--policy and --run name two policies; needed one at most"
    if options.version is not None and options.run is None:
        return "--version is one of a run; needed --run NAME too"
    if options.once or options.seeds:
        return "--once and --seeds belong to scoring a run in the background, not to --official"
    if options.card is not None and options.card.suffix not in (".png", ".svg", ".pdf"):
        return "--card draws a picture; needed a name like gait.png (its numbers are written to gait.card.json)"
    return None
