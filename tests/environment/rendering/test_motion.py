"""What is said of an episode's moments, and what a camera follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from environment.rendering.motion import Motion
from tests.environment.hand_made import LAYOUT, standing

STEPS = 200


def walk(speed: float = 1.0, **changes: Any) -> Motion:
    """The fake body moved ahead by hand; asked to go 30 degrees to the right."""
    states = np.tile(standing(target=(np.cos(np.pi / 6), 0.0, np.sin(np.pi / 6))), (STEPS + 1, 1))
    states[:, LAYOUT.index["body_pos/pelvis/x"]] = speed * 0.01 * np.arange(STEPS + 1)
    states[:, LAYOUT.index["body_vel/pelvis/x"]] = speed
    reward = np.where(np.arange(STEPS + 1) > 0, 2.0, 0.0)
    motion = Motion(
        title="by hand", model="3D_pros", layout=LAYOUT, states=states, reward=reward, terms={}, ended="time_limit"
    )
    return replace(motion, **changes)


def test_a_moment_is_told_in_words_and_units() -> None:
    assert walk(1.5).facts(100) == {
        "time": "1.00 of 2.00 s",
        "speed": "1.50 m/s",
        "target": "1.00 m/s 30° right",
        "distance": "1.5 m",
        "reward": "2.00, so far 200",
    }


def test_a_target_straight_ahead_or_to_the_left_is_told_so() -> None:
    states = walk().states.copy()
    states[0, LAYOUT.where("target_vel")] = 1.25, 0.0, 0.0
    states[1, LAYOUT.where("target_vel")] = 1.0, 0.0, -1.0
    motion = walk(states=states)
    assert [motion.facts(step)["target"] for step in (0, 1)] == ["1.25 m/s ahead", "1.41 m/s 45° left"]


def test_the_camera_goes_along_without_the_sway() -> None:
    motion = walk()
    states = motion.states.copy()
    sway = 0.1 * np.sin(2 * np.pi * np.arange(STEPS + 1) / 20)
    states[:, LAYOUT.index["body_pos/pelvis/z"]] += sway
    followed = replace(motion, states=states).camera_m()
    assert followed.shape == (STEPS + 1, 2)
    inner = slice(40, -40)
    np.testing.assert_allclose(followed[inner, 0], motion.pelvis_m[inner, 0], atol=1e-12)
    assert np.abs(followed[inner, 1]).max() < 0.01 < np.abs(sway).max()


def test_an_episode_without_a_step_can_be_shown() -> None:
    motion = walk(states=walk().states[:1], reward=np.zeros(1))
    assert motion.duration_s == 0.0
    assert motion.camera_m().tolist() == motion.pelvis_m[:, ::2].tolist()
    assert motion.facts(0)["time"] == "0.00 of 0.00 s"


def broken() -> np.ndarray:
    states = walk().states.copy()
    states[7, 3] = np.nan
    return states


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"states": walk().states[:, :-1]}, r"states have shape .*, needed \(T\+1, "),
        ({"states": walk().states[:0], "reward": np.zeros(0)}, "one for the reset"),
        ({"reward": np.zeros(3)}, r"reward has shape \(3,\), needed \(201,\)"),
        ({"terms": {"effort": np.zeros(200)}}, r"effort has shape \(200,\)"),
        ({"states": broken()}, "control step 7 is not finite"),
    ],
)
def test_what_can_not_be_shown_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        walk(**changes)
