"""The benchmark as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from infra.bench.learner.contract import Build, Case
from infra.bench.learner.ours import ours, ours_mixed
from infra.bench.learner.peers.known import IN_BFLOAT16, ON_A_GPU, PEERS, installed
from infra.bench.learner.processes import players, updates_per_s
from infra.bench.learner.sizes import QUICK, Sizes
from infra.bench.machine import machine
from infra.bench.replay.rows import Bar, Row, row

OURS: Mapping[str, Build] = {"float32": ours, "bfloat16": ours_mixed}
"""By the precision of the hidden layers."""
OF_FASTEST = Bar(1.5, 2.0)
ON_GPU = Bar(1.2, 1.5)
ASKED = 256
"""The batch that has to reach them."""

_ABOUT = (
    "TD3, 19 actions; each in a process of its own, in turns, with the same threads. Sampling is included: from the "
    "mirror, or from the peer's own buffer. Ours also normalises what it samples by running statistics, which no peer "
    "does. Peers calculate in float32, as they ship; an eager loop with torch's autocast counts too, beside ours in "
    "bfloat16. `floor` and `goal`, times the fastest peer, are of a machine with nothing else to do."
)


def learner(quick: bool = False) -> dict[str, Any]:
    """The benchmark, on the processor, and on the GPU where there is one."""
    sizes, missing = QUICK if quick else Sizes(), dict[str, str]()
    rows, gpu = measure(sizes, missing), torch.cuda.is_available()
    if gpu:
        rows += measure(sizes.of_one_thread(), missing, ON_A_GPU, {}, device="cuda", bar=ON_GPU)
    notes = [f"Without {name}: {why}." for name, why in missing.items()]
    if not gpu:
        notes.append("No GPU here: not measured are ours and a compiled, CUDA-graph-captured loop on one.")
    return {
        "bench": "learner",
        "about": "\n".join([_ABOUT, *notes]),
        "machine": machine("numpy", "torch", *installed()) | {"device": torch.cuda.get_device_name() if gpu else "cpu"},
        "rows": rows,
        "missing": missing,
    }


def measure(
    sizes: Sizes,
    missing: dict[str, str],
    peers: Mapping[str, Build] = PEERS,
    mixed: Mapping[str, Build] = IN_BFLOAT16,
    *,
    device: str = "cpu",
    bar: Bar = OF_FASTEST,
) -> list[Row]:
    """All rows of a device; `missing` learns which peers there are none of, and why. Those in `mixed` count beside ours
    in bfloat16 alone.
    """
    rows = []
    for threads in sizes.threads:
        # With one thread on one core, but for a GPU: what compiles for it has many processes.
        with players({**OURS, **peers, **mixed}, threads, pinned=threads == 1 and device == "cpu") as playing:
            for case in sizes.cases(device):
                rates = updates_per_s(playing, case, sizes.rounds, sizes.turn_s, missing)
                rows += _rows(case, threads, rates, list(peers), list(mixed), bar)
    return rows


def _rows(
    case: Case, threads: int, rates: Mapping[str, float], peers: list[str], mixed: list[str], bar: Bar
) -> list[Row]:
    """Ours of each precision, beside the fastest of the peers."""
    rows = []
    for name in OURS:
        beside = [peer for peer in peers + mixed * (name == "bfloat16") if peer in rates]
        fastest = max(beside, key=lambda peer: rates[peer], default=None)
        found = row(
            f"{case.device}, {threads} thread{'s' if threads > 1 else ''}, {case.name}, {name}",
            rates[name],
            "updates/s",
            peer=("the fastest peer", rates[fastest]) if fastest else None,
        )
        if case.batch == ASKED and found["ratio"] is not None:
            found |= {"floor": bar.floor, "goal": bar.goal, "reached": bar.reached(found["ratio"])}
        rows.append(found | {"fastest": fastest} | {peer: rates.get(peer) for peer in peers + mixed})
    return rows
