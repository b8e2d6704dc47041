"""The coordinates of a model, as its forces name them."""

from __future__ import annotations

from environment.body_model import Joint
from environment.osim_file.elements import Element


class Coordinates:
    def __init__(self, joints: tuple[Joint, ...]) -> None:
        self._rotational = {item.name: item.rotational for joint in joints for item in joint.coordinates}
        self._paths = {
            item.name: f"/jointset/{joint.name}/{item.name}" for joint in joints for item in joint.coordinates
        }

    def rotational(self, name: str) -> bool:
        return self._rotational[name]

    def by_name(self, element: Element, tag: str) -> str:
        """The coordinate whose name is in child `tag`."""
        name = element.word(tag)
        if name not in self._paths:
            raise element.require(tag).damaged(f"names the coordinate {name!r}, there is none")
        return name

    def of(self, element: Element, tag: str) -> str:
        """The coordinate that OpenSim 3 names in `tag`, OpenSim 4 by its path in `socket_tag`."""
        if element.source.old:
            return self.by_name(element, tag)
        path = element.word(f"socket_{tag}")
        name = path.rsplit("/", 1)[-1]
        if self._paths.get(name) != path:
            raise element.require(f"socket_{tag}").damaged(f"names the coordinate {path!r}, there is none")
        return name
