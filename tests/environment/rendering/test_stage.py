"""Pictures: of the right size, of something, and of the moment that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import vtk_to_numpy

from environment.physics.models import model_path
from environment.rendering.bones import load_bones
from environment.rendering.colours import BACKGROUND, activation_colours
from environment.rendering.figure import Figure
from environment.rendering.graphics import NoGraphics, prepare_graphics
from environment.rendering.stage import Stage
from environment.rendering.tubes import COLOUR, Tubes
from tests.falling import falling

SIZE = (640, 360)
Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def figure() -> Figure:
    return Figure.of(falling())


@pytest.fixture(scope="module")
def stage(figure: Figure) -> Iterator[Stage]:
    with closing(Stage(figure, SIZE)) as opened:
        yield opened


def active(level: float) -> Figure:
    """The same fall with all muscles as active as that."""
    motion = falling()
    states = motion.states.copy()
    states[:, motion.layout.ending("muscles", "activation")] = level
    return Figure.of(replace(motion, states=states))


def like(picture: Picture, colour: NDArray[np.uint8]) -> int:
    """How many pixels have that hue, lighter or darker."""
    seen = picture.astype(float) + 1e-3
    direction = seen / np.linalg.norm(seen, axis=2, keepdims=True)
    return int((direction @ (colour / np.linalg.norm(colour)) > 0.985).sum())


def test_a_picture_has_the_size_that_was_asked_for_and_shows_something(stage: Stage) -> None:
    picture = stage.draw(0)
    assert picture.shape == (360, 640, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[0, -1], BACKGROUND)
    assert (np.abs(picture.astype(int) - BACKGROUND).max(axis=2) > 20).mean() > 0.2
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 500


def test_two_moments_differ_and_one_moment_is_always_the_same(stage: Stage) -> None:
    first, later, again = stage.draw(0), stage.draw(60), stage.draw(0)
    assert (first != later).any(axis=2).mean() > 0.02
    np.testing.assert_array_equal(first, again)


def test_the_body_is_seen_to_fall(stage: Stage, figure: Figure) -> None:
    def highest(step: int) -> int:
        """The uppermost row with bones in it, in the middle of the picture where nothing is written."""
        middle = stage.draw(step)[:, 200:440].astype(int)
        bone = (middle[..., 0] - middle[..., 2] > 15) & (middle[..., 0] > 140)
        return int(np.flatnonzero(bone.sum(axis=1) > 2)[0])

    assert highest(figure.motion.steps) > highest(0) + 30


def test_muscles_turn_from_blue_to_red() -> None:
    pictures = []
    for level in (0.0, 1.0):
        with closing(Stage(active(level), SIZE)) as stage:
            pictures.append(stage.draw(0)[:300])  # without the legend
    blue, red = activation_colours(np.array([0.0, 1.0]))
    assert like(pictures[0], blue) > 10 * max(like(pictures[1], blue), 10)
    assert like(pictures[1], red) > 10 * max(like(pictures[0], red), 10)


def test_tubes_lie_around_the_paths_in_the_colours_of_the_activations(figure: Figure) -> None:
    tubes = Tubes(figure)
    for step in (0, 50):
        tubes.move_to(step)
        tubes.output.Update()
        drawn = tubes.output.GetOutput()
        points = vtk_to_numpy(drawn.GetPoints().GetData())
        path = figure.paths.point_m[step][figure.paths.present[step]]
        # VTK mitres its tubes at the corners, so a ring may reach further there.
        nearest = np.linalg.norm(points[:, None] - path[None], axis=2).min(axis=1)
        assert nearest.max() < 4 * figure.radius_m.max()
        assert np.median(nearest) < figure.radius_m.max()
        colours = np.unique(vtk_to_numpy(drawn.GetPointData().GetArray(COLOUR)), axis=0)
        np.testing.assert_array_equal(colours, np.unique(activation_colours(figure.activation[step]), axis=0))


def test_bones_are_where_their_bodies_are(figure: Figure) -> None:
    step = 40
    motion = figure.motion
    for body in figure.bodies:
        matrix = figure.body_matrix(step, body)
        np.testing.assert_array_equal(matrix[:3, 3], motion.states[step, motion.layout.where(f"body_pos/{body}")])
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    # The thigh's bone reaches from the hip to the knee, wherever the leg is.
    femur = next(bone for bone in figure.bones if bone.name == "l_femur")
    hip, knee = (motion.states[step, motion.layout.where(f"body_pos/{name}")] for name in ("femur_l", "tibia_l"))
    matrix = figure.body_matrix(step, "femur_l")
    placed = femur.vertex_m @ matrix[:3, :3].T + matrix[:3, 3]
    for joint in (hip, knee):
        assert np.linalg.norm(placed - joint, axis=1).min() < 0.03


def test_every_mesh_is_light_enough_to_draw_and_as_large_as_it_was() -> None:
    bones = load_bones(model_path("3D_pros"))
    assert len(bones) == 17
    assert max(len(bone.triangle) for bone in bones) <= 2_500
    assert all(bone.triangle.max() < len(bone.vertex_m) for bone in bones)
    skull = next(bone for bone in bones if bone.name == "hat_skull")
    height = np.ptp(skull.vertex_m[:, 1])
    assert 0.15 < height < 0.25


def test_a_moment_that_is_not_there_is_refused(stage: Stage) -> None:
    with pytest.raises(IndexError, match="control step 99999 of an episode of"):
        stage.draw(99_999)


def test_a_machine_that_can_not_draw_says_what_is_missing() -> None:
    with pytest.raises(NoGraphics, match=r"system's libNothing\.so\.1, which is not installed here; .*apt-get install"):
        prepare_graphics("libNothing.so.1")
