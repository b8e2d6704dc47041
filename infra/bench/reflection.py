"""How wrong it is to take a walk's mirror image for a walk (`replay.reflected_share`).

At every decision of a walk the body is put into the reflected state and moved with the reflected excitations. Where it
arrives is compared with the reflection of where the walk went, which is what would be learned from. The peer is the
same without reflection: what storing states in float32 makes of the future.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.official.rules import ACCURATE, environment_of, on_native
from agents.official.sources import in_the_box
from agents.policy import Policy
from environment.physics.models import model_path
from environment.physics.native.physics import NativePhysics
from environment.prosthetics import ProstheticsEnv
from environment.reflection import Reflection
from environment.rewards import round2
from environment.state import StateLayout
from infra.bench.machine import machine

Array = NDArray[Any]

_LEG = ("hip", "knee")
_ANKLE_MUSCLES = ("gastroc_l", "soleus_l", "tib_ant_l")


@dataclass(frozen=True, slots=True)
class Decisions:
    """D decisions of a walk, each held for K control steps."""

    layout: StateLayout
    """With the target."""
    before: Array
    """(D, S)"""
    excitation: Array
    """(D, K, M)"""
    after: Array
    """(D, S)"""


def reflection(quick: bool = False) -> dict[str, Any]:
    """The benchmark: a row for each group of numbers."""
    found = decisions_of(in_the_box().policy, seeds=(11,) if quick else (11, 22, 33))
    return {
        "bench": "reflection",
        "about": (
            f"{len(found.before)} decisions of the policy in the box: root mean square errors of the reflected future, "
            "as a share of how much the same numbers change in a decision; at start: of the reflected state itself"
        ),
        "machine": machine(),
        "rows": rows(found),
    }


def decisions_of(policy: Policy, seeds: Sequence[int], most_steps: int = 1000) -> Decisions:
    """Those that the policy makes without noise, but for those that a change of the target or the end cut short."""
    config = on_native(environment_of(policy.contract, policy.contract.task, most_steps), ACCURATE)
    held = int(np.max(policy.contract.frame_skip))
    before, excitation, after = [], [], []
    with closing(ProstheticsEnv(config)) as environment:
        for seed in seeds:
            seen, info = environment.reset(seed=seed)
            state, over = info["timesteps"][0].state, False
            while not over:
                seen, _, terminated, truncated, info = environment.step(policy(seen))
                over, steps = terminated or truncated, info["timesteps"]
                if not over and len(steps) == held:
                    before.append(state)
                    excitation.append(np.stack([step.excitation for step in steps]))
                    after.append(steps[-1].state)
                state = steps[-1].state
        layout = environment.layout
    return Decisions(layout, np.stack(before), np.stack(excitation), np.stack(after))


def rows(found: Decisions) -> list[dict[str, Any]]:
    """Each group's error, and the peer's: of a walk with the prosthesis."""
    layout = found.layout
    with closing(NativePhysics(model_path("3D_pros"), ACCURATE)) as body:
        reflect, exchange = Reflection(layout.names), Reflection(body.muscles)
        wanted = reflect(found.after)
        start, reached = _played(body, reflect(found.before), exchange(found.excitation))
        _, again = _played(body, found.before, found.excitation)
    # What is asked for may change as a decision ends; it is no matter of the body's.
    for states, like in ((reached, wanted), (again, found.after)):
        states[:, body.layout.size :] = like[:, body.layout.size :]
    change = wanted - reflect(found.before)
    told: list[dict[str, Any]] = []
    for name, unit, places in groups(layout):
        moved = _size(change[:, places])
        error, peer = _size((reached - wanted)[:, places]), _size((again - found.after)[:, places])
        at_start = _size((start - reflect(found.before))[:, places])
        told.append(
            {
                "name": name,
                "value": error / moved,
                "unit": "of the change",
                "peer": "not reflected",
                "peer_value": peer / moved,
                "ratio": error / peer,
                "at_start": at_start / moved,
                "error": error,
                "error_unit": unit,
            }
        )
    return [*told, _reward_row(layout, reached, wanted, again, found.after)]


def groups(layout: StateLayout) -> list[tuple[str, str, NDArray[np.intp]]]:
    """Name, unit and positions of what is told apart. Left and right are those of the reflected body."""
    pelvis = "joint_{}/ground_pelvis"
    found: list[tuple[str, str, tuple[str, ...]]] = []
    for kind, angle, way in (("pos", "rad", "m"), ("vel", "rad/s", "m/s")):
        word = "speeds" if kind == "vel" else ""
        place = tuple(f"{pelvis.format(kind)}/pelvis_t{axis}" for axis in "xyz")
        turn = tuple(f"{pelvis.format(kind)}/pelvis_{name}" for name in ("tilt", "list", "rotation"))
        found += [(f"pelvis place {word}", way, place), (f"pelvis angles {word}", angle, turn)]
        for side, leg in (("r", "prosthetic"), ("l", "intact")):
            found.append((f"{leg} hip, knee {word}", angle, tuple(f"joint_{kind}/{joint}_{side}" for joint in _LEG)))
            found.append((f"{leg} ankle {word}", angle, (f"joint_{kind}/ankle_{side}",)))
    for body in ("head", "calcn_l", "toes_l"):
        found.append((f"{body} position", "m", (f"body_pos/{body}",)))
    found.append(("mass centre position", "m", ("misc/mass_center_pos",)))
    found.append(("mass centre velocity", "m/s", ("misc/mass_center_vel",)))
    found.append(("prosthetic foot, ground force", "N", _ground("pros_foot_r")))
    found.append(("intact foot, ground force", "N", _ground("foot_l")))
    others = [muscle for muscle in layout.children("muscles") if muscle not in _ANKLE_MUSCLES]
    for name, unit in (("activation", "1"), ("fiber_length", "m"), ("fiber_force", "N")):
        for whose, muscles in (("muscles in pairs", others), ("intact ankle's muscles", _ANKLE_MUSCLES)):
            found.append((f"{whose}, {name}", unit, tuple(f"muscles/{muscle}/{name}" for muscle in muscles)))
    return [(name.strip(), unit, layout.where(*branches)) for name, unit, branches in found]


def _ground(foot: str) -> tuple[str, ...]:
    return tuple(f"forces/{foot}/ground.force.{axis}" for axis in "XYZ")


def _played(body: NativePhysics, states: Array, excitations: Array) -> tuple[Array, Array]:
    """(D, S) where the body is when it is put to each of `states` (D, S), and after each of (D, K, M)."""
    starts, ends = states.astype(np.float64), states.astype(np.float64)
    size = body.layout.size  # the target, which no body has, stays
    for number, held in enumerate(excitations):
        starts[number, :size] = body.start_at(states[number, :size])
        for excitation in held:
            ends[number, :size] = body.step(excitation)
    return starts, ends


def _reward_row(layout: StateLayout, reached: Array, wanted: Array, again: Array, after: Array) -> dict[str, Any]:
    """Of the last control step, as a share of how much rewards differ along the walk."""
    reward = round2(layout)
    mirrored, learned, replayed, paid = (
        np.sum(list(reward.evaluate(states).values()), axis=0) for states in (reached, wanted, again, after)
    )
    spread = float(paid.std())
    error, peer = _size(mirrored - learned), _size(replayed - paid)
    return {
        "name": "round 2's reward",
        "value": error / spread,
        "unit": "of its spread",
        "peer": "not reflected",
        "peer_value": peer / spread,
        "ratio": error / peer,
        "error": error,
        "error_unit": "1",
    }


def _size(values: Array) -> float:
    """Root mean square of vectors (D, …)."""
    flat = np.asarray(values, np.float64).reshape(len(values), -1)
    return float(np.sqrt(np.square(flat).sum(axis=1).mean()))
