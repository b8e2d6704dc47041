"""Which peers there are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec

from infra.bench.learner.contract import Build
from infra.bench.learner.peers.compiled import compiled
from infra.bench.learner.peers.eager import eager
from infra.bench.learner.peers.stable_baselines3 import stable_baselines3
from infra.bench.learner.peers.torchrl import torchrl

PEERS: Mapping[str, Build] = {"stable-baselines3": stable_baselines3, "eager loop": eager, "torchrl": torchrl}
IN_BFLOAT16: Mapping[str, Build] = {"eager loop, bfloat16": partial(eager, mixed=True)}
"""On a processor."""
ON_A_GPU: Mapping[str, Build] = {"eager loop": eager, "compiled loop": compiled}


def installed() -> list[str]:
    """Packages of peers that are here."""
    return [name for name in ("stable-baselines3", "torchrl") if find_spec(name.replace("-", "_")) is not None]
