"""Frames: those of bodies, and those fixed at an offset from one."""

from __future__ import annotations

import posixpath

from environment.body_model import GROUND, Frame
from environment.osim_file.elements import Element

ZERO = (0.0, 0.0, 0.0)
VISUALS = frozenset({"VisibleObject", "Appearance", "attached_geometry", "frame_geometry"})
"""What only a display needs, and is passed over with all that it holds."""


def refuse_wrap_objects(element: Element) -> None:
    element.members("WrapObjectSet", ())


class Frames:
    """The frames of a model, by their paths in it (`/bodyset/pelvis`, `/jointset/hip_r/pelvis_offset`)."""

    def __init__(self) -> None:
        self._frames = {f"/{GROUND}": Frame(GROUND)}

    def add_body(self, name: str) -> None:
        self._frames[f"/bodyset/{name}"] = Frame(name)

    def add_offsets(self, holder: Element | None, owner: str) -> None:
        """The `PhysicalOffsetFrame`s in an element of the component with the path `owner`."""
        for element in holder.each({"PhysicalOffsetFrame"}) if holder else []:
            element.check({"socket_parent", "translation", "orientation", "WrapObjectSet"} | VISUALS)
            refuse_wrap_objects(element)
            path = f"{owner}/{element.name}"
            body = self._plain_body(element, "socket_parent", path)
            self._frames[path] = Frame(body, element.vector("translation", ZERO), element.vector("orientation", ZERO))

    def at_socket(self, element: Element, socket: str, owner: str) -> Frame:
        """The frame that a socket names by its path: in the model, or from the component with the path `owner`."""
        target = element.word(socket)
        path = posixpath.normpath(posixpath.join(owner, target))
        for candidate in (path, f"/bodyset/{target}", f"/{target}"):
            if candidate in self._frames:
                return self._frames[candidate]
        raise element.require(socket).damaged(f"names the frame {target!r}, there is none")

    def body_of(self, element: Element, tag: str, socket: str) -> str:
        """The body on which something is: OpenSim 3 names it in `tag`, OpenSim 4 by its path in `socket`."""
        if not element.source.old:
            return self._plain_body(element, socket, "/")
        name = element.word(tag)
        if name != GROUND and f"/bodyset/{name}" not in self._frames:
            raise element.require(tag).damaged(f"names the body {name!r}, there is none")
        return name

    def _plain_body(self, element: Element, socket: str, owner: str) -> str:
        frame = self.at_socket(element, socket, owner)
        if frame != Frame(frame.body):
            raise element.require(socket).unsupported("names a frame at an offset (supported: a body)")
        return frame.body
