"""The benchmarks by name, for `python -m infra bench`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.settings import Settings


def _simulator(quick: bool) -> dict[str, Any]:
    from infra.bench.simulator import simulator

    return simulator(quick)


def _fidelity(quick: bool) -> dict[str, Any]:
    from infra.bench.fidelity.report import fidelity

    return fidelity(quick, _references())


def _reference_episodes(quick: bool) -> dict[str, Any]:
    from infra.bench.fidelity.report import compute_references

    logging.getLogger("infra.bench").setLevel(logging.INFO)  # each of them takes seconds
    return compute_references(quick, _references())


def _replay(quick: bool) -> dict[str, Any]:
    from infra.bench.replay.report import replay

    Settings.load()
    return replay(quick)


def _replay_growth(quick: bool) -> dict[str, Any]:
    from infra.bench.replay.growth import replay_growth

    Settings.load()
    return replay_growth(quick)


def _learner(quick: bool) -> dict[str, Any]:
    from infra.bench.learner.report import learner

    return learner(quick)


def _worker(quick: bool) -> dict[str, Any]:
    from infra.bench.worker.report import worker

    Settings.load()
    logging.getLogger("infra.bench").setLevel(logging.INFO)  # each turn takes a quarter of a minute
    return worker(quick)


def _curves(quick: bool) -> dict[str, Any]:
    from infra.bench.curves.report import curves

    logging.getLogger("infra.bench").setLevel(logging.INFO)  # each run takes a minute
    return curves(quick)


def _reflection(quick: bool) -> dict[str, Any]:
    from infra.bench.reflection import reflection

    return reflection(quick)


def _products(quick: bool) -> dict[str, Any]:
    from infra.bench.learner.products import products

    return products(quick)


def _references() -> Path:
    return Settings.load().folder / "fidelity"


BENCHES: dict[str, Callable[[bool], dict[str, Any]]] = {
    "simulator": _simulator,
    "fidelity": _fidelity,
    "references": _reference_episodes,
    "replay": _replay,
    "replay-growth": _replay_growth,
    "learner": _learner,
    "products": _products,
    "worker": _worker,
    "curves": _curves,
    "reflection": _reflection,
}
"""Imported when asked for: they load simulators."""
