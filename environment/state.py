"""Every number of the simulator state has a name, a unit and an index.

A state is one flat vector. Its layout follows osim-rl's state dictionary entry by entry, in that dictionary's order, so
both forms say the same: `layout.as_dict(vector)` gives people osim-rl's nested dictionary back.

For the prosthetic 19-muscle model that is 412 numbers; a task appends the target velocity (3), 415 in all.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

TARGET_VELOCITY = "target_vel"
AXES = ("x", "y", "z")
_SCALAR_LEAVES = frozenset({"muscles"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One number of the state."""

    name: str
    """Path in osim-rl's dictionary, e.g. `joint_vel/hip_r/hip_flexion_r` or `muscles/abd_r/fiber_force`."""
    unit: str
    """E.g. `m/s`, `rad`, `N`; `1` for pure numbers."""


@dataclass(frozen=True)
class StateLayout:
    """Names and units of a state vector, in its order.

    Two layouts with the same `sha256` describe the same vector; stored timesteps and policies carry that sum.
    """

    entries: tuple[Entry, ...]
    hollow: tuple[str, ...] = ()
    """Branches of the dictionary that hold no numbers in this model, e.g. `joint_pos/subtalar_l` (a weld)."""

    def __post_init__(self) -> None:
        if len(self.index) != len(self.entries):
            counts = Counter(entry.name for entry in self.entries)
            twice = [name for name, count in counts.items() if count > 1]
            raise ValueError(f"state entries must have different names; found more than once: {twice[:5]}")

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Entry name -> position in the vector."""
        return {entry.name: i for i, entry in enumerate(self.entries)}

    @property
    def size(self) -> int:
        """Numbers in a state vector."""
        return len(self.entries)

    @property
    def names(self) -> tuple[str, ...]:
        """(S,) entry names in order."""
        return tuple(entry.name for entry in self.entries)

    @property
    def units(self) -> tuple[str, ...]:
        """(S,) units in order."""
        return tuple(entry.unit for entry in self.entries)

    @cached_property
    def sha256(self) -> str:
        """Checksum of names and units in order."""
        text = "\n".join(f"{entry.name}\t{entry.unit}" for entry in self.entries)
        return hashlib.sha256(text.encode()).hexdigest()

    def where(self, *prefixes: str) -> NDArray[np.intp]:
        """Positions of an entry, or of all entries below a branch, prefix after prefix.

        `where("body_pos/pelvis")` has 3 positions, `where("joint_acc")` 17, `where("body_pos/pelvis/y")` one.

        Raises: KeyError when a prefix names nothing, with the closest branch that exists.
        """
        found: list[int] = []
        for prefix in prefixes:
            positions = [i for name, i in self.index.items() if name == prefix or name.startswith(prefix + "/")]
            if not positions:
                raise KeyError(f"the state has no {prefix!r}; {self._siblings(prefix)}")
            found += positions
        return np.asarray(found, dtype=np.intp)

    def ending(self, branch: str, leaf: str) -> NDArray[np.intp]:
        """Positions of one leaf under a branch, e.g. `ending("muscles", "activation")`: one per muscle."""
        found = [i for name, i in self.index.items() if name.startswith(branch + "/") and name.endswith("/" + leaf)]
        if not found:
            raise KeyError(f"the state has no {branch}/…/{leaf}; {self._siblings(f'{branch}/{leaf}')}")
        return np.asarray(found, dtype=np.intp)

    @cached_property
    def activations(self) -> NDArray[np.intp]:
        """(M,) positions, one per muscle."""
        return self.ending("muscles", "activation")

    @cached_property
    def fiber_lengths(self) -> NDArray[np.intp]:
        """(M,) positions, one per muscle."""
        return self.ending("muscles", "fiber_length")

    @cached_property
    def continuous(self) -> NDArray[np.intp]:
        """(C,) positions of all coordinates, their speeds, activations, fibre lengths: the rest follows from these."""
        return np.concatenate((self.where("joint_pos", "joint_vel"), self.activations, self.fiber_lengths))

    def children(self, branch: str) -> tuple[str, ...]:
        """Names directly below a branch: `children("body_pos")` are the bodies."""
        depth = branch.count("/") + 1
        below = (name.split("/")[depth] for name in self.names if name.startswith(branch + "/"))
        return tuple(dict.fromkeys(below))

    def children_of_root(self) -> tuple[str, ...]:
        """The dictionary's top-level branches that hold numbers, in order."""
        return tuple(dict.fromkeys(name.split("/")[0] for name in self.names))

    def as_dict(self, vector: NDArray[np.floating[Any]]) -> dict[str, Any]:
        """The nested dictionary of osim-rl: lists under joints, bodies and forces, named floats under muscles.

        Raises: ValueError when the vector has another size.
        """
        if vector.shape != (self.size,):
            raise ValueError(f"a state has shape {vector.shape}, this layout describes ({self.size},); other model?")
        tree: dict[str, Any] = {}
        for path in self.hollow:
            *branches, last = path.split("/")
            _descend(tree, branches)[last] = [] if branches else {}
        for entry, value in zip(self.entries, vector.tolist(), strict=True):
            *branches, leaf = entry.name.split("/")
            if branches[0] in _SCALAR_LEAVES:
                _descend(tree, branches)[leaf] = value
            else:
                _descend(tree, branches[:-1]).setdefault(branches[-1], []).append(value)
        return tree

    def with_target(self) -> StateLayout:
        """This layout with the target velocity (m/s; forward x, up y, right z) appended."""
        target = tuple(Entry(f"{TARGET_VELOCITY}/{axis}", "m/s") for axis in AXES)
        return StateLayout(self.entries + target, self.hollow)

    def _siblings(self, prefix: str) -> str:
        parts = prefix.split("/")
        for depth in range(len(parts) - 1, -1, -1):
            stem = "/".join(parts[:depth])
            known = self.children(stem) if stem else self.children_of_root()
            if known:
                return f"below {stem or 'the root'} there are {', '.join(known[:12])}"
        return "the layout is empty"


def _descend(tree: dict[str, Any], path: Iterable[str]) -> dict[str, Any]:
    for part in path:
        tree = tree.setdefault(part, {})
    return tree
