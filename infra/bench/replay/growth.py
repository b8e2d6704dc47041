"""What changes as the log grows, and what does not: writing, refilling, sampling, disk and memory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from agents.memory import build_derivation
from agents.replay.mirror import Mirror
from agents.replay.mongo import MongoReplay
from agents.replay.ring import bytes_needed
from agents.replay.runs import Run
from infra.bench.machine import machine
from infra.bench.replay.configurations import configuration
from infra.bench.replay.data import TIMESTEPS, play, run_of_bench
from infra.bench.replay.inserting import INSERT, Client
from infra.bench.replay.refilling import REFILL, refill
from infra.bench.replay.rows import Bar, Row, row
from infra.bench.replay.sampling import PRIORITISEDLY, UNIFORMLY, draws
from infra.bench.replay.sizes import QUICK, Sizes
from infra.bench.replay.store import Store, bench_store
from infra.bench.replay.turns import in_turns


@dataclass(frozen=True, slots=True)
class _Figure:
    """One measurement at one size."""

    value: float
    unit: str
    bar: Bar | None = None


def replay_growth(quick: bool = False) -> dict[str, Any]:
    """The benchmark: every measurement at each size, beside the same at the smallest."""
    sizes = QUICK if quick else Sizes()
    with bench_store() as store:
        rows = growth(store, sizes)
        server = store.server()
    return {
        "bench": "replay-growth",
        "about": "The same measurements as the log grows, each beside its value at the smallest size; the mirror holds "
        "the whole log, observations are compact and float32.",
        "machine": machine("numpy", "pymongo") | {"mongod": server},
        "rows": rows,
    }


def growth(store: Store, sizes: Sizes) -> list[Row]:
    """One log that grows, measured at each of `sizes.growth`."""
    run = run_of_bench()
    smallest: Mapping[str, _Figure] = {}
    rows: list[Row] = []
    with closing(store.open()) as log:
        log.open_run(run)
        client = Client(log, run, play(sizes.played))
        for episodes in sizes.growth:
            timesteps = episodes * TIMESTEPS
            found = _measured(store, log, run, client, episodes, sizes)
            smallest = smallest or found
            rows += [
                row(
                    name,
                    one.value,
                    one.unit,
                    peer=(f"{sizes.growth[0] * TIMESTEPS:,} timesteps", smallest[name].value),
                    bar=one.bar,
                    timesteps=timesteps,
                )
                for name, one in found.items()
            ]
    return sorted(rows, key=lambda one: list(smallest).index(one["name"]))


def _measured(
    store: Store, log: MongoReplay, run: Run, client: Client, episodes: int, sizes: Sizes
) -> dict[str, _Figure]:
    """Lets the log grow to `episodes`, then measures."""
    timesteps, new = episodes * TIMESTEPS, episodes - client.written
    found = {"durable insert on the way there": _Figure(new * TIMESTEPS / client.write(new)[0], "timesteps/s", INSERT)}
    refill(log, run, timesteps)  # warms the caches
    mirror, rate = refill(log, run, timesteps)
    found["warm refill"] = _Figure(rate, "timesteps/s", REFILL)
    found |= _sampled("uniform", mirror, UNIFORMLY, sizes)
    del mirror
    found |= _sampled("prioritised", refill(log, run, timesteps, sampling="prioritised")[0], PRIORITISEDLY, sizes)
    memory = bytes_needed(1_000_000, *_widths(run))
    disk = store.disk_bytes("timesteps") + store.disk_bytes("episodes")
    found["disk, indexes included"] = _Figure(disk / timesteps / 1e3, "GB per million timesteps")
    found["memory of the mirror"] = _Figure(memory / 1e9, "GB per million timesteps")
    return found


def _widths(run: Run) -> tuple[int, int]:
    """Numbers of an observation and of an action."""
    derive = build_derivation(configuration(1), run)
    return derive.observation_size, derive.action_size


def _sampled(sampling: str, mirror: Mirror, bar: Bar, sizes: Sizes) -> dict[str, _Figure]:
    works = {
        f"{sampling}, batch {batch:,}": draws(mirror, batch, learned=sampling == "prioritised")
        for batch in sizes.batches
    }
    found = in_turns(works, sizes.rounds, sizes.turn_s)
    return {name: _Figure(found[name].per_s, "transitions/s", bar) for name in works}
