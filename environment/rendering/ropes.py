"""A browser's muscles: tubes that bend at their path's points.

Their shape goes with the points' poses, which a browser takes as promptly as those of the bones. Lines with new ends
for every moment come late in a slow one: the muscles would walk behind the skeleton.
"""

from __future__ import annotations

import numpy as np
import viser
from numpy.typing import NDArray
from viser import transforms

from environment.rendering.colours import Colour, activation_colours
from environment.rendering.figure import Figure

Array = NDArray[np.float64]

_SIDES = 6
_TENDON = 0.5
"""Of the radius, where a muscle begins and ends."""
_STILL = (1.0, 0.0, 0.0, 0.0)


class Ropes:
    """The muscles of a figure in a scene, each a mesh with one ring of corners about each of its points."""

    def __init__(self, scene: viser.SceneApi, root: str, figure: Figure) -> None:
        """Below the node `root`, which is in ground's axes."""
        self._figure = figure
        self._place = np.array([_on_the_line(place, here) for place, here in _moments(figure)])
        turns = figure.poses.rotation @ np.swapaxes(figure.poses.rotation[:1], 2, 3)
        self._turns = transforms.SO3.from_matrix(turns).wxyz
        self.meshes = [self._add(scene, f"{root}/{name}", number) for number, name in enumerate(figure.muscles)]
        """(M,) in the order of the figure's muscles."""
        self.move_to(0)

    def move_to(self, step: int) -> None:
        """Shows the muscles after so many control steps."""
        figure = self._figure
        colours = activation_colours(figure.activation[step])
        for number, mesh in enumerate(self.meshes):
            mesh.position = self._origin(step)
            colour = _colour(colours[number])
            if mesh.color != colour:
                mesh.color = colour
            own = figure.paths.muscle[number]
            for bone, point in zip(mesh.bones, range(own.start, own.stop), strict=True):
                bone.position = self._place[step, point] - self._origin(step)
                body = figure.paths.body[point]
                bone.wxyz = _STILL if body is None else self._turns[step, body]

    def show(self, shown: bool) -> None:
        for mesh in self.meshes:
            mesh.visible = shown

    def _origin(self, step: int) -> Array:
        """Of the meshes: near the body, else a browser takes them to be where they began and leaves them out."""
        x, z = self._figure.camera_m[step]
        return np.array([x, 0.0, z])

    def _add(self, scene: viser.SceneApi, name: str, muscle: int) -> viser.MeshSkinnedHandle:
        own = self._figure.paths.muscle[muscle]
        # Absent points are where they would be: were two in one place, a ring would have no way to face.
        line = self._figure.paths.point_m[0, own] - self._origin(0)
        count = len(line)
        radius = np.full(count, self._figure.radius_m[muscle])
        radius[[0, -1]] *= _TENDON
        corners = np.concatenate([_ring(line, point, radius[point]) for point in range(count)])
        weights = np.repeat(np.eye(count), _SIDES, axis=0)
        return scene.add_mesh_skinned(
            name,
            corners,
            _faces(count),
            bone_wxyzs=np.tile(_STILL, (count, 1)),
            bone_positions=line,
            skin_weights=weights,
            color=_colour(activation_colours(self._figure.activation[0, muscle])),
            side="double",
            cast_shadow=False,
        )


def _moments(figure: Figure) -> list[tuple[Array, NDArray[np.bool_]]]:
    """Each moment's points, and which are on their path, with the muscles' ends."""
    return list(zip(figure.paths.point_m, figure.paths.present, strict=True))


def _on_the_line(place: Array, present: NDArray[np.bool_]) -> Array:
    """(P, 3) with each absent point at the one before it: an end is never absent."""
    before = np.maximum.accumulate(np.where(present, np.arange(len(place)), 0))
    found: Array = place[before]
    return found


def _ring(line: Array, point: int, radius_m: float) -> Array:
    """(_SIDES, 3) about a point, across the way that the line takes there."""
    along = line[min(point + 1, len(line) - 1)] - line[max(point - 1, 0)]
    along = along / max(float(np.linalg.norm(along)), 1e-9)
    across = np.cross(along, np.eye(3)[np.argmin(np.abs(along))])
    across /= np.linalg.norm(across)
    angle = 2 * np.pi * np.arange(_SIDES)[:, None] / _SIDES
    found: Array = line[point] + radius_m * (np.cos(angle) * across + np.sin(angle) * np.cross(along, across))
    return found


def _faces(rings: int) -> NDArray[np.int64]:
    """(F, 3) of a tube through so many rings."""
    side = np.arange(_SIDES)
    next_ = (side + 1) % _SIDES
    found = []
    for ring in range(rings - 1):
        a, b = _SIDES * ring, _SIDES * (ring + 1)
        found += [np.stack((a + side, a + next_, b + side), axis=1), np.stack((a + next_, b + next_, b + side), axis=1)]
    return np.concatenate(found)


def _colour(colour: NDArray[np.uint8]) -> Colour:
    red, green, blue = colour.tolist()
    return red, green, blue
