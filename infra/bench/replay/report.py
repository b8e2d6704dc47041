"""The benchmark as a whole: one database, one run in it, and everything measured on that."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from infra.bench.machine import machine
from infra.bench.replay.data import TIMESTEPS, play, run_of_bench
from infra.bench.replay.inserting import inserting
from infra.bench.replay.live import Live
from infra.bench.replay.peers.contract import Build
from infra.bench.replay.peers.known import PEERS, installed
from infra.bench.replay.peers.original import original
from infra.bench.replay.refilling import refill, refilling
from infra.bench.replay.rows import Row
from infra.bench.replay.sampling import Sampled
from infra.bench.replay.sizes import QUICK, Sizes
from infra.bench.replay.store import Store, bench_store

_ABOUT = (
    "States of 415 numbers, 19 muscles, every control step a decision. Peers hand over the same observations, actions "
    "and rewards; `floor` and `goal` are of a machine with 2 cores and nothing else to do."
)


def replay(quick: bool = False) -> dict[str, Any]:
    """The benchmark, on the server that `.env` names. Raises: ConnectionsMissing, ReplayUnavailable."""
    missing: dict[str, str] = {}
    with bench_store() as store:
        rows = measure(store, QUICK if quick else Sizes(), missing)
        server = store.server()
    return {
        "bench": "replay",
        "about": "\n".join([_ABOUT, *(f"Without {name}: {why}." for name, why in missing.items())]),
        "machine": machine("numpy", "pymongo", "torch", *installed()) | {"mongod": server},
        "rows": rows,
        "missing": missing,
    }


def measure(
    store: Store, sizes: Sizes, missing: dict[str, str], builds: Mapping[str, Mapping[str, Build]] = PEERS
) -> list[Row]:
    """All rows; `missing` learns which peers there are none of, and why."""
    run, source = run_of_bench(), play(sizes.played)
    timesteps = sizes.stretches * sizes.stretch * TIMESTEPS
    with closing(store.open()) as log, original(store, run) as peer:
        log.open_run(run)
        rows = inserting(log, run, source, peer, sizes)
        rows.append(refilling(log, run, peer, timesteps, sizes.refills))
        sampled = Sampled(log, run, sizes, timesteps, peer, missing, builds)
        rows += [*sampled.uniform(), *sampled.prioritised(), *sampled.others()]
        mirror, _ = refill(log, run, timesteps)
    live = Live(store, run, source, mirror, sizes)
    return [*rows, *live.latency(), *live.while_arriving()]
