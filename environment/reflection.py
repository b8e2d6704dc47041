"""Left and right exchanged: what a state, an observation or an action looks like in a mirror at the sagittal plane.

z turns to -z. Observations are linear in the state but for turns about the vertical, which a mirror reverses like
everything else; so an observation is reflected by its own names, and the state that it was made of is not needed.

A body with a prosthesis is not its own mirror image: what is made of its states here is at best close to states that it
can be in. Decision 0025 says how close.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_AGO = re.compile(r"@-\d+$")
"""What `original` ends the names of earlier control steps with."""
_SIDE = re.compile(r"_([rl])(?=$|[/.@])")
_ANKLE = re.compile(r"/(ankle|AnkleLimit)_[rl]/")
_CONTACT = re.compile(r"^forces/\w+/\w+\.(force|torque)\.([XYZ])(#\d)?$")

_POLAR, _AXIAL = {"x": 1.0, "y": 1.0, "z": -1.0}, {"x": -1.0, "y": -1.0, "z": 1.0}
_VECTORS: Mapping[str, Mapping[str, float]] = {
    **dict.fromkeys(("body_pos", "body_vel", "body_acc", "position", "velocity", "ground_force"), _POLAR),
    **dict.fromkeys(("misc", "target_vel", "target_velocity", "target_minus_velocity"), _POLAR),
    **dict.fromkeys(("pelvis_velocity", "pelvis_velocity_minus_target"), _POLAR),
    # Angles about body-fixed x, y, z are reflected like a turn about each of these axes.
    **dict.fromkeys(("body_pos_rot", "body_vel_rot", "body_acc_rot", "pelvis_angular_velocity"), _AXIAL),
}
"""First part of a name -> its axes' signs."""
_SCALARS: Mapping[str, float] = {
    **dict.fromkeys(("pelvis_tilt", "pelvis_tx", "pelvis_ty", "lumbar_extension", "pelvis_height", "target_age"), 1.0),
    **dict.fromkeys(("pelvis_list", "pelvis_rotation", "pelvis_tz"), -1.0),
}
"""Numbers of the middle of the body. The joints of both legs turn about axes that are each other's mirror images, so
their coordinates keep their signs, as do muscles, springs and limits."""


class Reflection:
    """Numbers -> the same seen in the mirror: x'[i] = sign[i] (x[source[i]] + x[i] - x[lead[i]]).

    What has a partner on the other side takes its place (then `lead[i]` is i). Twice is nothing, but for rounding where
    a difference is kept. Of an intact body it is exact. With a prosthesis
    - what moves the ankles differs, so they stay as they are, and so do the intact one's three muscles and the other's
      spring;
    - what has no partner keeps its difference to what it goes with (`lead[i]`), which has one: how the feet are turned
      to the shanks, where heel and toes are to the talus, the second contact of the toes to the first.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Of a state's layout, of an observation, or of muscles, whose names say which number is what.

        Raises: ValueError for a name of which it is not known how a mirror changes it, such as a motion's phase.
        """
        index = {name: place for place, name in enumerate(names)}
        partners = _partners(names)
        own = np.arange(len(names))
        self.source, self.lead = own.copy(), own.copy()
        self.sign = np.array([_sign(_AGO.sub("", name)) for name in names], np.float32)
        for place, name in enumerate(names):
            lead = name if name in partners else _lead_of(name)
            if lead in partners:
                self.source[place], self.lead[place] = index[partners[lead]], index[lead]

    def __call__(self, values: Array) -> Array:
        """(..., N) -> (..., N), of the same type."""
        source, lead = (values.take(where, axis=-1) for where in (self.source, self.lead))
        reflected: Array = self.sign.astype(values.dtype) * (source + (values - lead))
        return reflected


def _partners(names: Sequence[str]) -> dict[str, str]:
    """Name -> the name of the same on the other side, for those that have one."""
    known = set(names)
    if any("/pros_foot_r/" in name for name in names):
        known -= {name for name in names if _ANKLE.search(name)}
    partners: dict[str, str] = {}
    for name in names:
        for other in (_other_side(name), _opposite_prosthesis(name)):
            if other != name and {name, other} <= known:
                partners |= {name: other, other: name}
    return partners


def _other_side(name: str) -> str:
    return _SIDE.sub(lambda side: "_l" if side[1] == "r" else "_r", name)


def _opposite_prosthesis(name: str) -> str:
    """What the intact leg has where the prosthesis has `name`. The prosthetic foot turns about the point that the talus
    does; its two spheres touch the ground where heel and toes do. OpenSim records for each of them what both together
    do, so those of heel and toes are right where only one carries; the ground's force is right always."""
    if name.startswith(("forces/", "ground_force/")):
        name = re.sub(r"/pros_foot_r\.(.*)#2$", r"/toes_l.\1", name)
        return name.replace("/pros_foot_r.", "/calcn_l.").replace("/pros_foot_r/", "/foot_l/")
    if "_rot/" not in name:
        name = name.replace("/pros_foot_r/", "/talus_l/")
    return name.replace("/pros_tibia_r/", "/tibia_l/")


def _lead_of(name: str) -> str:
    """What a number without a partner goes with, which may have one."""
    if name.startswith("forces/"):
        return re.sub(r"/toes_l\.(.*)#2$", r"/toes_l.\1", name)
    if "_rot/" in name:
        return re.sub(r"/(talus|calcn|toes)_l/", "/tibia_l/", name.replace("/pros_foot_r/", "/pros_tibia_r/"))
    return re.sub(r"/(calcn|toes)_l/", "/talus_l/", name)


def _sign(name: str) -> float:
    branch, _, leaf = name.rpartition("/")
    axes = _VECTORS.get(branch.partition("/")[0], {})
    if leaf in axes:
        return axes[leaf]
    if contact := _CONTACT.match(name):
        return (_POLAR if contact[1] == "force" else _AXIAL)[contact[2].lower()]
    if leaf in _SCALARS:
        return _SCALARS[leaf]
    if _SIDE.search(name) or name.startswith("forces/"):
        return 1.0
    raise ValueError(f"how a mirror changes {name!r} is not known; there is no reflection of what has such a number")
