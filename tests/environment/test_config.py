"""Settings are checked when they are made."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from environment.config import EnvironmentConfig
from environment.physics.settings import OpenSimSettings


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"task": "marathon"}, KeyError, "no task 'marathon'; there are prosthetics-round1"),
        ({"physics": "bullet"}, ValueError, "physics 'bullet' is unknown; there are native, opensim"),
        ({"integrator": "Euler"}, ValueError, "integrator 'Euler' is unknown to native; there are BogackiShampine32"),
        (
            {"integrator": "Verlet"},
            ValueError,
            "'Verlet' belongs to physics='opensim'; physics='native' has BogackiShampine32, DormandPrince54",
        ),
        (
            {"physics": "opensim", "integrator": "DormandPrince54"},
            ValueError,
            "'DormandPrince54' belongs to physics='native'; physics='opensim' has RungeKuttaMerson, Semi",
        ),
        ({"accuracy": "1e-5"}, ValueError, "native integrator accuracy '1e-5' must be a number"),
        ({"physics": "opensim", "accuracy": "1e-5"}, ValueError, "^integrator accuracy '1e-5' must be a number"),
        ({"physics": "opensim", "integrator": "Euler"}, ValueError, "integrator 'Euler' is unknown; there are Runge"),
        ({"stale_controls": True}, ValueError, "stale_controls is osim-rl's fault of RungeKuttaMerson"),
        ({"accuracy": 0.1}, ValueError, "integrator accuracy 0.1 is outside"),
        (
            {"accuracies": (1e-3, 1e-6)},
            ValueError,
            r"accuracies=\[0.001, 1e-06\] must be two positive numbers, the small",
        ),
        ({"accuracies": (1e-5, 1e-5)}, ValueError, "for one accuracy there is the setting accuracy"),
        ({"accuracies": (1e-6,)}, ValueError, "must be two positive numbers"),
        ({"accuracies": (0.0, 1e-3)}, ValueError, "must be two positive numbers"),
        ({"accuracies": (1e-6, float("nan"))}, ValueError, "must be two positive numbers"),
        ({"accuracies": ("1e-6", "1e-3")}, ValueError, "must be two positive numbers"),
        ({"accuracies": (1e-6, 0.1)}, ValueError, "integrator accuracy 0.1 is outside 1e-12..1e-3"),
        ({"physics": "opensim", "accuracies": (1e-12, 1e-3)}, ValueError, "1e-12 is outside 1e-10..3e-2"),
        (
            {"accuracy": 1e-5, "accuracies": (1e-6, 1e-3)},
            ValueError,
            "accuracy=1e-05 is of every episode.*leave one out",
        ),
        ({"stale_share": 0.5}, ValueError, "stale_share is osim-rl's fault of RungeKuttaMerson"),
        ({"physics": "opensim", "stale_share": 0.5}, ValueError, "stale_share is of osim-rl's integrator RungeKutta"),
        ({"integrator": "RungeKuttaMerson", "stale_share": 1.5}, ValueError, r"stale_share=1\.5 must be in 0\.\.1"),
        (
            {"integrator": "RungeKuttaMerson", "stale_share": 0.5, "stale_controls": True},
            ValueError,
            r"stale_controls gives late controls to every episode and stale_share=0\.5 to some: leave one out",
        ),
        ({"accuracy": 0.0}, ValueError, "integrator accuracy 0 is outside"),
        ({"accuracy": float("nan")}, ValueError, "integrator accuracy nan is outside"),
        ({"observation": "blind"}, ValueError, "observation 'blind' is unknown; there are original, compact"),
        ({"frame_skip": 0}, ValueError, "frame skip 0 must be a whole number from 1"),
        ({"frame_skip": 2.5}, ValueError, r"frame skip 2\.5 must be a whole number from 1"),
        ({"frame_skip": (1, 2.5)}, ValueError, r"frame skip \(1, 2\.5\) must be a whole number from 1"),
        ({"frame_skip": "4"}, ValueError, "frame skip '4' must be a whole number from 1"),
        ({"frame_skip": (5, 2)}, ValueError, r"frame skip \(5, 2\) must be"),
        ({"bins": 1}, ValueError, "bins=1 must be a whole number from 2"),
        ({"bins": 2.5}, ValueError, r"bins=2\.5 must be a whole number from 2"),
        ({"bins": "3"}, ValueError, "bins='3' must be a whole number from 2"),
        ({"reward": "round3"}, ValueError, "reward 'round3' is unknown; there are round1, round2"),
        ({"shaping": {"lean": "1"}}, ValueError, "weight of shaped reward 'lean' is '1'"),
        ({"max_steps": 10.5}, ValueError, r"max_steps=10\.5 must be a whole number in 1\.\.1000"),
        ({"shaping": {"smile": 1.0}}, ValueError, "shaped reward 'smile' is unknown; there are forward_velocity"),
        ({"shaping": {"lean": float("nan")}}, ValueError, "weight of shaped reward 'lean' is nan"),
        ({"aborts": ("sneeze",)}, ValueError, "early-abort rule 'sneeze' is unknown; there are lean"),
        (
            {"max_steps": 0},
            ValueError,
            r"max_steps=0 must be a whole number in 1\.\.1000, the limit of prosthetics-round2",
        ),
        ({"max_steps": 1001}, ValueError, r"max_steps=1001 must be a whole number in 1\.\.1000"),
        (
            {"task": "intact-round1", "max_steps": 301},
            ValueError,
            r"max_steps=301 must be a whole number in 1\.\.300, the limit of intact",
        ),
    ],
)
def test_a_bad_setting_is_refused_with_what_was_needed(
    setting: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        EnvironmentConfig(**setting)


def test_settings_can_not_be_changed_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        EnvironmentConfig().max_steps = 5  # type: ignore[misc]


def test_official_is_osim_rl_s_integration_without_any_of_our_additions() -> None:
    ours = EnvironmentConfig(
        task="intact-round2",
        observation="original",
        frame_skip=(1, 5),
        bins=2,
        reward="round1",
        shaping={"lean": 1.0},
        aborts=("lean",),
        max_steps=100,
    )
    official = ours.official()
    assert (official.integrator, official.accuracy, official.stale_controls) == ("RungeKuttaMerson", 5e-5, True)
    assert (official.reward, dict(official.shaping), official.aborts, official.max_steps) == (None, {}, (), None)
    scored = ours.scored()
    assert (scored.reward_name, dict(scored.shaping), scored.aborts, scored.max_steps) == ("round2", {}, (), 100)
    kept = ("task", "observation", "frame_skip", "bins")
    assert [getattr(official, name) for name in kept] == [getattr(ours, name) for name in kept]


@pytest.mark.parametrize("accuracy", [1e-11, 0.031])
def test_an_accuracy_at_which_opensim_is_of_no_use_is_refused(accuracy: float) -> None:
    with pytest.raises(ValueError, match="integrator accuracy"):
        OpenSimSettings(accuracy=accuracy)
