"""The benchmark as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from infra.bench.curves.contract import Learn
from infra.bench.curves.figures import LAST, rows
from infra.bench.curves.ours import ours, ours_as_runs
from infra.bench.curves.runs import all_curves
from infra.bench.curves.sizes import QUICK, Sizes
from infra.bench.curves.stable_baselines3 import stable_baselines3
from infra.bench.curves.tasks import EVALUATION_SEEDS
from infra.bench.machine import machine

OURS, AS_RUNS, PEER = "our TD3", "our TD3 as runs train", "Stable-Baselines3"
LEARNERS: Mapping[str, Learn] = {OURS: ours, PEER: stable_baselines3, AS_RUNS: ours_as_runs}
PACKAGES = ("mujoco", "stable-baselines3")

_ABOUT = (
    "TD3 on Gymnasium's tasks: the same networks, batches, rates, noise, random steps at the start, and as many "
    f"updates after each episode as it had steps; {len(EVALUATION_SEEDS)} noise-free episodes from the same starts "
    "score it. "
    f"`{OURS}` is the paper's algorithm (no action penalty, observations and rewards as they are), the one that is "
    f"judged; `{AS_RUNS}` has the penalty, the running normaliser and the reward scale of our runs' defaults. The "
    f"final return is the mean of the last {LAST} evaluations, the area under the curve is divided by the steps. "
    "`times` is what was gained over random actions; spreads are standard deviations over seeds; `floor` is the peer's "
    "mean less two standard errors of the difference, `goal` its mean."
)


def curves(quick: bool = False) -> dict[str, Any]:
    """The benchmark; `curves` holds every curve whole, `random` what random actions earn by task."""
    sizes, missing = QUICK if quick else Sizes(), dict[str, str]()
    before = machine("numpy", "torch", "gymnasium", *(name for name in PACKAGES if _here(name)))
    found, random = all_curves(sizes, LEARNERS, missing)
    return {
        "bench": "curves",
        "about": "\n".join([_ABOUT, *(f"Without {name}: {why}." for name, why in missing.items())]),
        "machine": before,
        "rows": rows(found, random, OURS, PEER, judged=True) + rows(found, random, AS_RUNS, PEER, judged=False),
        "missing": missing,
        "sizes": asdict(sizes),
        "random": random,
        "curves": found,
    }


def _here(package: str) -> bool:
    return find_spec(package.replace("-", "_")) is not None
