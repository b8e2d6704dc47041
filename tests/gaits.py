"""A gait of the project's own: what a policy does on the native engine, as people have it in a file.

The policy is a former one of the box, version 316 of the run `walk1` (docs/results-before.md): tests know what it does,
and the one in the box may become another at any time. The walk is kept in a file, too: after two seconds processors
differ in it as much as seeds do, and not every walk has a stride and a half that comes back.
"""

from __future__ import annotations

from contextlib import closing
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.official.rules import AS_OSIM_RL, environment_of, on_native
from agents.policy import Policy
from agents.policy_file import read_policy
from environment.motions.motion import Motion
from environment.prosthetics import ProstheticsEnv
from environment.state import StateLayout
from tests.motions import write_csv

WALKER = Path(__file__).parent / "walker.safetensors"
FIRST, ROWS = 200, 121
"""Of the walk on seed 13: a stride and a half at its steady pace."""
SEED = 13
RECORDED = Path(__file__).parent / "walk.npz"
"""States and actions of it; `python -m tests.gaits` makes another one."""


def walker() -> Policy:
    """The policy that walks."""
    return read_policy(WALKER)[0]


@cache
def walked() -> tuple[StateLayout, NDArray[np.float64]]:
    """The layout, without a target, and (FIRST + ROWS, S) states at 100 Hz from the default pose on."""
    with closing(_environment(walker())) as environment, np.load(RECORDED) as file:
        layout = environment.physics.layout
        states: NDArray[np.float64] = file["states"]
    if states.shape != (FIRST + ROWS, layout.size):
        raise ValueError(f"{RECORDED.name} has states {states.shape}, needed {(FIRST + ROWS, layout.size)}")
    return layout, states


def actions() -> NDArray[np.float32]:
    """(D, M) of the decisions that led to these states."""
    with np.load(RECORDED) as file:
        found: NDArray[np.float32] = file["actions"]
    return found


def record() -> None:
    """Walks again and keeps it."""
    policy, done = walker(), []
    with closing(_environment(policy)) as environment:
        seen, info = environment.reset(seed=SEED)
        states = [info["timesteps"][0].state]
        while len(states) < FIRST + ROWS:
            done.append(policy(seen))
            seen, _, _, _, info = environment.step(done[-1])
            states += [step.state for step in info["timesteps"]]
        kept = np.stack(states[: FIRST + ROWS])[:, : environment.physics.layout.size].astype(np.float64)
    np.savez_compressed(RECORDED, states=kept, actions=np.stack(done))


def _environment(policy: Policy) -> ProstheticsEnv:
    contract = policy.contract
    return ProstheticsEnv(on_native(environment_of(contract, contract.task), AS_OSIM_RL))


def gait(rows: slice = slice(FIRST, FIRST + ROWS)) -> Motion:
    """Some of its rows, as a motion file would be read."""
    states = walked()[1][rows]
    return Motion("walk", 0.01 * np.arange(len(states), dtype=np.float64), states, 100.0, (), ())


def gait_file(path: Path, rows: slice = slice(FIRST, FIRST + ROWS)) -> Path:
    """The same as a .csv of all that a body can be put to."""
    layout, states = walked()
    names = [layout.names[i] for i in layout.continuous]
    return write_csv(path, dict(zip(names, states[rows][:, layout.continuous].T, strict=True)))


if __name__ == "__main__":
    record()
