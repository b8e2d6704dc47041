"""Labelled states to compare two engines on: what a walker meets, and every corner of the equations.

No state is nearer than about 1e-8 to a place where the equations jump (a conditional path point comes or goes, a spline
loses its curvature at its end, a fibre reaches its least length): there either side is right, and the last bit of a
rounding decides. `coverage.py` counts that each corner was met.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infra.bench.fidelity.classes import CLASSES, KNOT_CLASSES
from infra.bench.fidelity.draws import Draws
from infra.bench.fidelity.floor_classes import FLOOR_CLASSES
from infra.bench.fidelity.models import fidelity_model_path
from infra.bench.fidelity.oracle import Oracle, States
from infra.bench.fidelity.probe import Probe


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """States (n) with the class (n,) each is of."""

    states: States
    labels: NDArray[np.str_]

    def of(self, label: str) -> States:
        return self.states[self.labels == label]


def states(model_name: str, n: int, seed: int) -> Labelled:
    """About n states of a model of `models.NAMES`, equally many of each class that the model can have."""
    return labelled(Probe(Oracle(fidelity_model_path(model_name))), n, seed)


def labelled(probe: Probe, n: int, seed: int) -> Labelled:
    """The same for a model at hand."""
    draws = Draws(probe, np.random.default_rng(seed))
    classes = {**CLASSES, **(FLOOR_CLASSES if probe.feet else {}), **(KNOT_CLASSES if probe.file.knots() else {})}
    each = -(-n // len(classes))
    made = {label: make(draws, each) for label, make in classes.items()}
    joined = States(*(np.concatenate([getattr(one, field.name) for one in made.values()]) for field in fields(States)))
    return Labelled(joined, np.concatenate([np.full(len(one), label) for label, one in made.items()]))


def save(path: Path, found: Labelled) -> None:
    """The states as `.npz`, for a look at those where two engines differ."""
    arrays = {field.name: getattr(found.states, field.name) for field in fields(States)}
    np.savez_compressed(path, labels=found.labels, **arrays)
