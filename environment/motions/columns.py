"""What the columns of a motion file are called, and which states of a model they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from environment.motions.motion import MotionRefused
from environment.state import StateLayout

_SETS = ("jointset/", "forceset/")
_LISTED = 12


def spellings(layout: StateLayout) -> dict[str, str]:
    """Column name -> entry of the layout, for every state that a simulation can start from.

    A coordinate's value may be called `knee_angle_r`, `knee_r/knee_angle_r/value`, the same after `/jointset/`, or
    `joint_pos/knee_r/knee_angle_r`; its speed `…_speed`, `…_u` or `…/speed`; a muscle's states `soleus_l_activation`,
    `soleus_l.activation`, `/forceset/soleus_l/activation`, and `…fiber_length` likewise.
    """
    found: dict[str, str] = {}
    for name in layout.names:
        branch, *path = name.split("/")
        if branch in ("joint_pos", "joint_vel"):
            joint, coordinate = path
            leaf = "value" if branch == "joint_pos" else "speed"
            ours = [name, f"{coordinate}/{leaf}", f"{joint}/{coordinate}/{leaf}"]
            ours += [coordinate] if branch == "joint_pos" else [f"{coordinate}_speed", f"{coordinate}_u"]
        elif branch == "muscles" and path[1] in ("activation", "fiber_length"):
            muscle, leaf = path
            ours = [name, f"{muscle}_{leaf}", f"{muscle}.{leaf}", f"{muscle}/{leaf}"]
        else:
            continue
        found |= dict.fromkeys(ours, name)
    return found


def entries_of(
    path: Path, names: Sequence[str], layout: StateLayout, free: Sequence[str]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Entry -> column of the states that the file has, and the columns that are none.

    A file may leave coordinates out, or have more columns than the model has states, but not both: one of its columns
    would be the missing coordinate under another name.

    Args:
        names: (C,) of the file.
        free: Entries of the coordinates that can move.

    Raises: MotionRefused.
    """
    known = spellings(layout)
    found: dict[str, int] = {}
    ignored: list[str] = []
    for column, name in enumerate(names):
        entry = known.get(_bare(name))
        if entry is None:
            # What else a simulation tells of a state is worked out anew.
            if name not in layout.index:
                ignored.append(name)
        elif entry in found:
            raise MotionRefused(f"motion {path}: columns {names[found[entry]]!r} and {name!r} are both {entry}")
        else:
            found[entry] = column
    missing = [entry for entry in free if entry not in found]
    if len(missing) == len(free):
        raise MotionRefused(
            f"motion {path} has no coordinate of this model; found columns {_listed(ignored or names)}; needed "
            f"{_listed([entry.rpartition('/')[2] for entry in free])}"
        )
    if missing and ignored:
        raise MotionRefused(
            f"motion {path}: columns {_listed(ignored)} are no states of this model, and coordinates "
            f"{_listed([entry.rpartition('/')[2] for entry in missing])} are missing; is it a motion of another model, "
            "or are they called otherwise? Without those columns the missing ones would be in the default pose"
        )
    return found, tuple(ignored)


def _bare(name: str) -> str:
    bare = name.removeprefix("/")
    for prefix in _SETS:
        bare = bare.removeprefix(prefix)
    return bare


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
