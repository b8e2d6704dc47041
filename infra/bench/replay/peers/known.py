"""Which peers there are, and what to do about one that is not installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

from infra.bench.replay.peers import cpprb, stable_baselines3, torchrl
from infra.bench.replay.peers.contract import Build, Draw, PeerMissing, Shape

PEERS: Mapping[str, Mapping[str, Build]] = {
    "uniform": {
        "cpprb": cpprb.uniform,
        "torchrl": torchrl.uniform,
        "stable-baselines3": stable_baselines3.uniform,
    },
    "prioritised": {"cpprb": cpprb.prioritised, "torchrl": torchrl.prioritised},
}
"""By the way to sample and the package that it comes with."""
INSTALL = "`.venv/bin/pipenv install --skip-lock --categories peers` installs it"


@dataclass(frozen=True, slots=True)
class Peers:
    """Filled, or missing."""

    draws: Mapping[str, Draw]
    missing: dict[str, str] = field(default_factory=dict)
    """Package -> why it is not measured."""


def build(builds: Mapping[str, Build], shape: Shape) -> Peers:
    """All of `builds` that can be had."""
    draws, missing = {}, {}
    for name, make in builds.items():
        try:
            draws[name] = make(shape)
        except ImportError as error:
            missing[name] = f"{error}; {INSTALL}"
        except PeerMissing as error:
            missing[name] = str(error)
    return Peers(draws, missing)


def installed() -> list[str]:
    """Packages of peers that are here."""
    return [name for name in PEERS["uniform"] if find_spec(name.replace("-", "_")) is not None]
