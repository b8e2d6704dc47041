"""The player in the browser: what it serves, and what its scene holds."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from viser import transforms

from environment.rendering.colours import activation_colours
from environment.rendering.figure import Figure
from environment.rendering.player import Player
from environment.rendering.plots import MuscleRows, RewardCurves
from infra.services.ports import pick_free_port
from tests.environment.rendering.chromium import opened
from tests.falling import falling


@pytest.fixture(scope="module")
def figure() -> Figure:
    return Figure.of(falling())


@pytest.fixture
def player(figure: Figure) -> Iterator[Player]:
    with closing(Player(figure, port=pick_free_port())) as serving:
        yield serving


def test_a_page_is_served_on_the_loopback(player: Player) -> None:
    assert player.url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(player.url, timeout=10) as answer:
        assert answer.status == 200
        assert b"<script" in answer.read()


def test_bodies_stand_where_the_state_has_them(player: Player, figure: Figure) -> None:
    for step in (0, 50):
        player.show(step)
        for number, frame in enumerate(player.scene.bodies):
            np.testing.assert_allclose(frame.position, figure.poses.position_m[step, number], atol=1e-12)
            turned = transforms.SO3(np.asarray(frame.wxyz)).as_matrix()
            np.testing.assert_allclose(turned, figure.poses.rotation[step, number], atol=1e-9)


def test_muscles_bend_at_their_paths_points_in_their_colours(player: Player, figure: Figure) -> None:
    for step in (0, 70):
        player.show(step)
        for number, mesh in enumerate(player.scene.muscles.meshes):
            points = np.array([bone.position for bone in mesh.bones]) + mesh.position
            length = np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
            assert length == pytest.approx(figure.paths.lengths_m()[step, number], abs=1e-9)
            np.testing.assert_allclose(points[[0, -1]], figure.paths.line(step, number)[[0, -1]], atol=1e-9)
            assert mesh.color == tuple(activation_colours(figure.activation[step, number]))


def test_nothing_moves_while_nobody_looks(player: Player) -> None:
    rounds = iter([False] * 5 + [True])
    player.play(lambda seconds: next(rounds))
    assert player.step == 0


def test_reward_curves_have_a_line_at_the_moment(figure: Figure) -> None:
    curves = RewardCurves(figure.motion)
    assert curves.names == ("reward", "half", "other half")
    time_s, reward, half, _, line = curves.at(50)
    np.testing.assert_allclose(half, reward / 2)
    np.testing.assert_allclose(reward, figure.motion.reward[1:])
    (there,) = np.flatnonzero(line == 0.0)
    assert time_s[there] == pytest.approx(0.5)
    assert line[there + 1] == 1.0
    assert np.isfinite(line).sum() == 2
    assert np.isfinite(curves.at(figure.motion.steps)[-1]).sum() == 2


def test_rows_of_muscles_have_the_colours_of_their_activations(figure: Figure) -> None:
    rows = MuscleRows(figure)
    picture = rows.at(0)
    height = len(picture) // len(figure.muscles)
    for muscle in (0, 7, 18):
        expected = activation_colours(figure.activation[-1, muscle])
        np.testing.assert_array_equal(picture[height * muscle + 2, -1], expected)
    moved = (rows.at(0) != rows.at(60)).any(axis=(0, 2))
    assert 1 <= moved.sum() <= 6


@pytest.mark.slow
def test_a_browser_shows_the_moment_and_its_slider_moves_the_body(player: Player, tmp_path: Path) -> None:
    with opened(player.url, tmp_path / "profile") as page:
        page.wait_for("muscle activations")
        seen = []
        for step in (10, 90):
            player.show(step)
            page.wait_for(f"{step / 100:.2f} of")
            seen.append(page.picture_when(tmp_path / f"{step}.png", lambda picture: muscles_in(picture) > 300))
        assert (seen[0] != seen[1]).any(axis=2).mean() > 0.01
        page.ask("Runtime.evaluate", expression="document.querySelector('[role=slider]').focus()")
        for kind in ("keyDown", "keyUp"):
            page.ask("Input.dispatchKeyEvent", type=kind, key="ArrowLeft", code="ArrowLeft", windowsVirtualKeyCode=37)
        page.wait_for("0.89 of")
        assert player.step == 89
        assert page.errors == []


def muscles_in(picture: NDArray[np.uint8]) -> int:
    """Pixels of saturated blue to red, in the part of the page that shows the scene."""
    red, green, blue = picture[:, :1000].astype(int).transpose(2, 0, 1)
    return int((np.maximum(red, blue) - green > 80).sum())
