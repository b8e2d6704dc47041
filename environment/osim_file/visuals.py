"""The meshes that a model file shows its bodies with. The equations of motion need none of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from environment.body_model import Frame, Vector3
from environment.osim_file.elements import Element
from environment.osim_file.errors import UnsupportedModel
from environment.osim_file.parsing import parse_model

_HIDDEN = 0
_SHADED = 4
"""Values of `display_preference`; those between show wires or flat faces, which are shown shaded here."""
_ONES = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class VisualMesh:
    """A mesh file on a body. A point p of the file is at R (scale * p) + translation in the body, by its frame."""

    file: str
    """E.g. `l_femur.vtp`; where it lies is not the model's to say."""
    scale: Vector3
    frame: Frame


def read_visuals(path: Path) -> tuple[VisualMesh, ...]:
    """All visible meshes, in the order of the file.

    Raises:
        UnsupportedModel: Not of OpenSim 3's form, or shown with something else than meshes in frames of their bodies.
        DamagedModel: It is no sound model file.
        OSError: There is no such file, or it may not be read.
    """
    model = parse_model(path.name, path.read_bytes())
    if not model.source.old:
        raise UnsupportedModel(
            f"{path.name}: the meshes of files of OpenSim 4's form are not read (supported: OpenSim 3's, as osim-rl's)"
        )
    bodies = model.members("BodySet", {"Body"})
    return tuple(mesh for body in bodies for mesh in _of_body(body))


def _of_body(body: Element) -> Iterator[VisualMesh]:
    shown = body.child("VisibleObject")
    if shown is None or not _visible(shown):
        return
    shown.check({"GeometrySet", "scale_factors", "transform", "show_axes", "display_preference"})
    of_all = _frame(shown, body.name)
    scale = shown.vector("scale_factors", _ONES)
    for item in shown.members("GeometrySet", {"DisplayGeometry"}, named=False):
        item.check(
            {"geometry_file", "color", "texture_file", "transform"}
            | {"scale_factors", "display_preference"}
            | {"opacity"}
        )
        if _visible(item):
            own = item.vector("scale_factors", _ONES)
            yield VisualMesh(
                file=item.word("geometry_file"),
                scale=(scale[0] * own[0], scale[1] * own[1], scale[2] * own[2]),
                frame=_one_of(item, of_all, _frame(item, body.name)),
            )


def _one_of(item: Element, of_all: Frame, own: Frame) -> Frame:
    """A mesh is moved by itself or with all of its body's; none of the shipped models does both."""
    still = Frame(own.body)
    if still not in (of_all, own):
        raise UnsupportedModel(
            f"{item.source.file}, line {item.line}, {item.path}: a mesh that is moved twice, by its own transform and "
            "its body's (supported: by one of them)"
        )
    return of_all if own == still else own


def _visible(element: Element) -> bool:
    return element.number("display_preference", _SHADED) != _HIDDEN


def _frame(element: Element, body: str) -> Frame:
    """`transform` is three body-fixed XYZ angles, then three lengths."""
    if element.child("transform") is None:
        return Frame(body)
    rx, ry, rz, x, y, z = element.numbers("transform", 6)
    return Frame(body, (x, y, z), (rx, ry, rz))
