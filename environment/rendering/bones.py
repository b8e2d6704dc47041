"""The meshes that osim-rl ships for its models, placed in their bodies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvista
from numpy.typing import NDArray

from environment.osim_file.visuals import VisualMesh, read_visuals
from environment.rendering.colours import BONE, PROSTHESIS, Colour
from environment.rendering.placement import rotation_xyz

_ARTIFICIAL = ("pylon", "pros")
"""In the names of mesh files: what is no bone."""

_MOST_TRIANGLES = 2_500
"""Of a mesh. The vertebrae alone have 10,600, which nobody sees, but a processor that draws and a browser feel."""


@dataclass(frozen=True, slots=True)
class Bone:
    """A mesh in the frame of its body, or a part of the prosthesis."""

    name: str
    body: str
    colour: Colour
    vertex_m: NDArray[np.float64]
    """(V, 3)"""
    triangle: NDArray[np.int64]
    """(F, 3) vertices of each face."""


def load_bones(model: Path) -> tuple[Bone, ...]:
    """All meshes that the model file shows.

    Raises: FileNotFoundError when osim-rl is installed without one of them; UnsupportedModel; DamagedModel.
    """
    folder = model.parent / "Geometry"
    return tuple(_load(folder / mesh.file, mesh) for mesh in read_visuals(model))


def _load(path: Path, mesh: VisualMesh) -> Bone:
    if not path.is_file():
        raise FileNotFoundError(f"the mesh {mesh.file} of body {mesh.frame.body} is missing; is osim-rl 2.1.5 whole?")
    surface = pyvista.read(path).extract_surface(algorithm=None).triangulate().clean()
    if surface.n_cells > _MOST_TRIANGLES:
        surface = surface.decimate(1.0 - _MOST_TRIANGLES / surface.n_cells)
    scaled = np.asarray(surface.points, np.float64) * mesh.scale
    turned = scaled @ rotation_xyz(np.array(mesh.frame.rotation_xyz_rad)).T
    return Bone(
        name=path.stem,
        body=mesh.frame.body,
        colour=PROSTHESIS if any(part in path.stem for part in _ARTIFICIAL) else BONE,
        vertex_m=turned + mesh.frame.translation_m,
        triangle=np.asarray(surface.regular_faces, np.int64),
    )
