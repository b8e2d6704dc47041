"""The meshes of model files, as OpenSim itself shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import opensim
import pytest

from environment.body_model import Frame
from environment.osim_file.errors import UnsupportedModel
from environment.osim_file.visuals import VisualMesh, read_visuals
from environment.rendering.placement import rotation_xyz
from tests.environment.osim_files import PROSTHETIC, SEVEN, edited, printed_by_opensim, shipped

Place = tuple[str, str, tuple[float, ...], np.ndarray]


def as_opensim_shows(path: Path) -> list[Place]:
    """(body, file, scale, (3, 4) rotation and place in the body) of every mesh."""
    opensim.Logger.setLevelString("Off")
    model = opensim.Model(str(path))
    model.initSystem()
    found: list[Place] = []
    for component in model.getComponentsList():
        mesh = opensim.Mesh.safeDownCast(component)
        if mesh is None:
            continue
        frame = mesh.getFrame()
        transform = frame.findTransformInBaseFrame()
        angles = transform.R().convertRotationToBodyFixedXYZ().to_numpy()
        matrix = np.column_stack((rotation_xyz(angles), transform.p().to_numpy()))
        scale = tuple(float(mesh.get_scale_factors()[i]) for i in range(3))
        found.append((frame.findBaseFrame().getName(), mesh.get_mesh_file(), scale, matrix))
    return sorted(found, key=lambda one: one[:2])


def ours(path: Path) -> list[Place]:
    def place(frame: Frame) -> np.ndarray:
        return np.column_stack((rotation_xyz(np.array(frame.rotation_xyz_rad)), frame.translation_m))

    found = [(one.frame.body, one.file, one.scale, place(one.frame)) for one in read_visuals(path)]
    return sorted(found, key=lambda one: one[:2])


def assert_equal(found: list[Place], needed: list[Place]) -> None:
    assert [one[:3] for one in found] == [one[:3] for one in needed]
    for mine, theirs in zip(found, needed, strict=True):
        np.testing.assert_allclose(mine[3], theirs[3], rtol=0, atol=1e-14)


@pytest.mark.opensim
@pytest.mark.parametrize("name", SEVEN[:4])
def test_every_mesh_is_where_opensim_shows_it(name: str) -> None:
    found = ours(shipped(name))
    assert len(found) >= 17
    assert_equal(found, as_opensim_shows(shipped(name)))


@pytest.mark.opensim
def test_a_mesh_is_scaled_by_itself_and_with_its_body(tmp_path: Path) -> None:
    one = edited(tmp_path, shipped(PROSTHETIC), "femur.vtp", "<scale_factors> 1 1 1", "<scale_factors> 2 3 4")
    both = edited(tmp_path, one, "femur.vtp", r"(<groups />.*?<scale_factors>) 1 1 1", r"\1 5 6 7")
    assert (10.0, 18.0, 28.0) in {mesh.scale for mesh in read_visuals(both)}
    assert_equal(ours(both), as_opensim_shows(both))


def test_a_turned_mesh_keeps_its_frame() -> None:
    (pylon,) = (mesh for mesh in read_visuals(shipped(PROSTHETIC)) if mesh.file == "r_pylon.vtp")
    frame = Frame("pros_tibia_r", (0.0085, -0.29, 0.0), (0.0, 1.57, 0.0))
    assert pylon == VisualMesh("r_pylon.vtp", (1.0, 1.0, 1.0), frame)


def test_a_hidden_mesh_is_left_out(tmp_path: Path) -> None:
    hidden = edited(tmp_path, shipped(PROSTHETIC), "r_pylon.vtp", "<display_preference>4", "<display_preference>0")
    before, after = ({mesh.file for mesh in read_visuals(path)} for path in (shipped(PROSTHETIC), hidden))
    assert before - after == {"r_pylon.vtp"}


def test_a_mesh_that_is_moved_twice_is_refused(tmp_path: Path) -> None:
    twice = edited(
        tmp_path, shipped(PROSTHETIC), "r_pros_foot.vtp", "<transform> 0 0 0 0 0 0", "<transform> 0 0 0 0.1 0 0"
    )
    with pytest.raises(UnsupportedModel, match=r"DisplayGeometry.*moved twice"):
        read_visuals(twice)


@pytest.mark.opensim
def test_the_form_of_opensim_4_is_refused(tmp_path: Path) -> None:
    new = printed_by_opensim(shipped(PROSTHETIC), tmp_path / "new.osim")
    with pytest.raises(UnsupportedModel, match="OpenSim 4's form"):
        read_visuals(new)
