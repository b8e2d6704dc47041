"""`python -m infra bench fidelity`: the native engine against OpenSim, state by state and episode by episode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from environment.physics.contract import Physics
from environment.physics.models import file_sha256, model_path
from environment.tasks import task
from infra.bench.fidelity.coverage import check_coverage
from infra.bench.fidelity.engines import native_physics, native_right_hand_side
from infra.bench.fidelity.episodes import DEADLINE, TASK, DeadlinePlayer
from infra.bench.fidelity.models import NAMES, fidelity_model_path
from infra.bench.fidelity.oracle import Oracle, RightHandSide
from infra.bench.fidelity.policies import Policy, mixed_policies
from infra.bench.fidelity.probe import Probe
from infra.bench.fidelity.references import REFERENCE, SECOND_OPINION, Reference, References
from infra.bench.fidelity.rhs import BOUND, Difference, differences
from infra.bench.fidelity.states import labelled
from infra.bench.fidelity.trajectories import Agreement, agreement, doubtful
from infra.bench.machine import machine

STATES, EPISODES = 10_000, 200
"""Of each model; of the task's model."""
QUICK_MODELS, QUICK_STATES, QUICK_EPISODES = ("3D_pros", "2017", "arm"), 1_500, 6
SPARE_EPISODES = 10
"""Computed too, in place of those that meet the deadline."""
TIGHT_MM, DEFAULT_MM = 0.01, 1.0
"""Bounds on the distance of the centres of mass: over whole episodes, and over their first second."""
DEADLINE_S = 120.0
ACTIONS = Path(__file__).parent / "actions"
"""Found controllers' actions, `.npy` with (T, M) excitations: they are replayed among the random ones."""
_SEED = 1


def fidelity(quick: bool, references: Path) -> dict[str, Any]:
    """The benchmark: a row for each class of states of each model, then one for each setting over whole episodes.

    Args:
        quick: Fewer models, states and episodes.
        references: Folder of reference episodes. What it lacks is not compared; `compute_references` fills it.
    """
    rows = [row for name in (QUICK_MODELS if quick else NAMES) for row in _model_rows(name, quick)]
    wanted = QUICK_EPISODES if quick else EPISODES
    found = References(references, file_sha256(_task_model())).stored(_policies(wanted))
    stored = [one for one in found if one.episode.ended != DEADLINE][:wanted]
    if stored:
        rows.append(_tight_row(stored, references))
        rows.append(_episode_row("default", native_physics(_task_model(), tight=False), stored))
    beyond = [row["name"] for row in rows if not row["within"]]
    told = f"beyond their bounds: {', '.join(beyond)}" if beyond else "all within their bounds"
    missing = ""
    if len(stored) < wanted:
        missing = (
            f"; {wanted - len(stored)} of {wanted} episodes not compared: `python -m infra bench references` first"
        )
    return {
        "bench": "fidelity",
        "about": f"Native against OpenSim: errors, and the bounds set for them; {told}{missing}.",
        "machine": machine("opensim", "numpy", "numba"),
        "rows": rows,
    }


def compute_references(quick: bool, folder: Path) -> dict[str, Any]:
    """Computes the reference episodes that `folder` lacks (about half an hour) and says what is there."""
    path = _task_model()
    store = References(folder, file_sha256(path))
    policies = _policies(QUICK_EPISODES if quick else EPISODES)
    found = list(store.complete(policies, lambda: DeadlinePlayer(path, REFERENCE, DEADLINE_S)))
    return {
        "bench": "references",
        "about": f"Episodes by OpenSim, {REFERENCE.integrator} {REFERENCE.accuracy:g}, kept in {store.folder}.",
        "machine": machine("opensim", "numpy"),
        "rows": [_kind_row(kind, found) for kind in sorted({one.policy.kind for one in found})],
    }


def right_hand_side_rows(name: str, engine: RightHandSide, probe: Probe, states: int) -> Iterator[dict[str, Any]]:
    """A row for each class of states. Raises: NotCovered when the states leave out what they are meant to show."""
    found = labelled(probe, states, _SEED)
    check_coverage(probe, found)
    for one in differences(engine, probe.oracle, found):
        yield _state_row(name, one)


def _model_rows(name: str, quick: bool) -> Iterator[dict[str, Any]]:
    path = fidelity_model_path(name)
    states = QUICK_STATES if quick else STATES
    yield from right_hand_side_rows(name, native_right_hand_side(path), Probe(Oracle(path)), states)


def _state_row(name: str, found: Difference) -> dict[str, Any]:
    worst = max(found.acceleration, found.fiber_velocity, found.activation_rate)
    return {
        "name": f"{name} {found.label}",
        "value": worst,
        "unit": "relative",
        "peer": "the bound",
        "peer_value": BOUND,
        "ratio": worst / BOUND,
        "states": found.states,
        "acceleration": found.acceleration,
        "fiber_velocity": found.fiber_velocity,
        "activation_rate": found.activation_rate,
        "state_numbers_times_allowed": found.state_number,
        "worst_number": found.worst_number,
        "within": found.within,
    }


def _tight_row(stored: Sequence[Reference], folder: Path) -> dict[str, Any]:
    """Where the tight engine is beyond its bound, the reference's own error may be why: it is asked again, tighter."""
    path = _task_model()
    asked_again = [one.policy for one in doubtful(native_physics(path, tight=True), stored, TIGHT_MM)]
    store = References(folder, file_sha256(path), SECOND_OPINION)
    player = partial(DeadlinePlayer, path, SECOND_OPINION, DEADLINE_S)
    opinions = {one.policy.name: one for one in store.complete(asked_again, player)}
    row = _episode_row("tight", native_physics(path, tight=True), [opinions.get(s.policy.name, s) for s in stored])
    return row | {"references_repeated_at_1e_9": len(opinions)}


def _episode_row(setting: str, physics: Physics, references: Sequence[Reference]) -> dict[str, Any]:
    found = agreement(physics, references)
    physics.close()
    tight = setting == "tight"
    value, bound = (found.whole_error_mm, TIGHT_MM) if tight else (found.first_error_mm, DEFAULT_MM)
    return {
        "name": f"{setting} setting",
        "value": value,
        "unit": "mm, whole episodes" if tight else "mm, first second",
        "peer": "the bound",
        "peer_value": bound,
        "ratio": value / bound,
        "engine": physics.name,
        "episodes": found.episodes,
        "steps": found.steps,
        "first_error_95_mm": found.first_error_95_mm,
        "whole_error_mm": found.whole_error_mm,
        "whole_error_median_mm": found.whole_error_median_mm,
        "return_error_percent": found.first_return_error_percent,
        "return_correlation": found.return_correlation,
        "one_minus_correlation": 1.0 - found.return_correlation,
        "same_fall_step": found.same_fall_step,
        "most_steps_apart": found.most_steps_apart,
        "worst": found.worst,
        "within": value <= bound and _episodes_agree(found, tight),
    }


def _episodes_agree(found: Agreement, tight: bool) -> bool:
    if tight:
        return found.most_steps_apart == 0
    return (
        found.first_return_error_percent <= 0.5 and found.return_correlation >= 0.999 and found.same_fall_step >= 0.95
    )


def _kind_row(kind: str, found: Sequence[Reference]) -> dict[str, Any]:
    episodes = [one.episode for one in found if one.policy.kind == kind]
    finished = [one for one in episodes if one.ended != DEADLINE]
    steps, seconds = sum(len(one.rewards) for one in finished), sum(one.seconds for one in finished)
    return {
        "name": kind,
        "value": len(episodes),
        "unit": "episodes",
        "peer": "all",
        "peer_value": len(found),
        "ratio": len(episodes) / len(found),
        "falls": sum(one.ended == "fall" for one in episodes),
        "met_deadline": len(episodes) - len(finished),
        "control_steps": steps,
        "control_steps_per_s": steps / seconds if finished else 0.0,
    }


def _policies(episodes: int) -> list[Policy]:
    return mixed_policies(episodes + SPARE_EPISODES, sorted(ACTIONS.glob("*.npy")))


def _task_model() -> Path:
    return model_path(task(TASK).model)
