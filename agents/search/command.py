"""`python -m agents improve-start`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents.stopping import StopFlag

SECONDS, GENERATIONS, UPDATES, EPISODES = 1.0, 300, 8_000, 200


def improve_start(options: argparse.Namespace, stop: StopFlag) -> None:
    """Searches a faster start for a policy and writes one that starts so, if it scores better on two integrations."""
    import torch

    from agents.imitation.regression import FitConfig
    from agents.official.sources import in_the_box, named
    from agents.policy_export import safetensors_bytes
    from agents.search.distil import DistilConfig
    from agents.search.evolution import EvolutionConfig
    from agents.search.improve import improve_start as improve
    from agents.search.start import StartConfig

    torch.set_num_threads(options.threads)
    folder = options.out.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder} to write {options.out.name} in")
    source = in_the_box() if options.policy is None else named(options.policy)
    searching = StartConfig(
        led_s=options.seconds, evolution=EvolutionConfig(generations=options.generations, seed=options.seed)
    )
    fit = FitConfig(updates=options.updates, batch_size=1024, lr=3e-4, final=0.003, seed=options.seed)
    distilling = DistilConfig(fit=fit, seed=options.seed)
    print(f"a faster start for {source.name}", flush=True)
    improved = improve(
        source.policy,
        searching,
        distilling,
        episodes=options.episodes,
        threads=options.threads,
        tell=lambda line: print(f"  {line}", flush=True),
        stop=stop,
    )
    if not improved.better:
        raise ValueError("it is not better on both integrations, so nothing was written; another --seed may be")
    provenance = dict(source.provenance) | {
        "improved_start": {"search": asdict(searching), "distil": asdict(distilling), **improved.facts()}
    }
    options.out.write_bytes(safetensors_bytes(improved.policy, provenance))
    print(
        f"{options.out}: {options.out.stat().st_size:,} bytes; `evaluate --official --policy {options.out}` scores it"
    )


def add_search(commands: Any) -> None:
    """Adds the sub-command to the sub-parsers of `python -m agents`."""
    added = commands.add_parser(
        "improve-start", help=(improve_start.__doc__ or "").rstrip("."), description=improve_start.__doc__
    )
    added.set_defaults(command=improve_start)
    added.add_argument("--policy", metavar="FILE|URI", help="as `evaluate --official` takes it (default: in the box)")
    added.add_argument("--out", type=Path, required=True, metavar="FILE", help="safetensors file to write")
    added.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        metavar="S",
        help="of the start (default: %(default)s)",
    )
    added.add_argument(
        "--generations", type=int, default=GENERATIONS, metavar="N", help="of the search (default: %(default)s)"
    )
    added.add_argument(
        "--updates", type=int, default=UPDATES, metavar="N", help="of each of three fits (default: %(default)s)"
    )
    added.add_argument(
        "--episodes", type=int, default=EPISODES, metavar="N", help="of each score that decides (default: %(default)s)"
    )
    added.add_argument("--threads", type=int, default=1, metavar="N", help="to compute with (default: %(default)s)")
    added.add_argument("--seed", type=int, default=0, metavar="S", help="of what is random (default: %(default)s)")
    added.set_defaults(wrong=_wrong)
    added.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")


def _wrong(options: argparse.Namespace) -> str | None:
    return None if options.threads >= 1 else f"--threads {options.threads}: at least 1"
