"""Every training episode has its own accuracy and late controls; scores never have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from environment.config import EnvironmentConfig
from environment.physics.integration import Draws, Integration
from environment.physics.models import model_path
from environment.physics.native.settings import NativeSettings
from environment.physics.settings import OpenSimSettings
from environment.prosthetics import ProstheticsEnv
from environment.starts import Pushed
from tests.fakes import FakePhysics

OWN = Integration(1e-5)
DRAWN = EnvironmentConfig(
    integrator="RungeKuttaMerson", accuracies=(1e-6, 1e-3), stale_share=0.5, frame_skip=(2, 6), max_steps=60
)


def played(config: EnvironmentConfig, seed: int, *, pushed: bool = False) -> tuple[FakePhysics, dict[str, Any], Any]:
    """The body, what its start tells, and the states of an episode."""
    body = FakePhysics()
    environment = ProstheticsEnv(config, body)
    if pushed:
        environment.starts = Pushed(environment.physics.layout, (0.5, 1.0))
    _, info = environment.reset(seed=seed)
    told, states = info.get("start", {}), []
    while info["ended"] is None:
        *_, info = environment.step(np.zeros(4, np.float32))
        states += [timestep.state for timestep in info["timesteps"]]
    return body, told, np.stack(states)


def test_each_episode_draws_its_accuracy_from_its_seed() -> None:
    found: dict[int, dict[str, Any]] = {}
    for seed in (1, 2, 3, 1):
        body, told, _ = played(DRAWN, seed)
        assert body.integration == Integration(told["accuracy"], told["stale_controls"])
        assert 1e-6 <= told["accuracy"] <= 1e-3
        assert found.setdefault(seed, told) == told
    assert len({told["accuracy"] for told in found.values()}) == 3


def test_what_is_drawn_changes_no_target_hold_or_start_of_the_seed() -> None:
    alike = replace(DRAWN, accuracies=None, stale_share=None)
    for seed in range(5):
        body, told, states = played(DRAWN, seed, pushed=True)
        other, told_there, states_there = played(alike, seed, pushed=True)
        assert states.tobytes() == states_there.tobytes()
        assert body.integration is not None
        assert other.integration is None
        assert told == told_there | body.integration.facts()


def test_accuracies_are_as_often_in_one_decade_as_in_another() -> None:
    draws = Draws(accuracies=(1e-6, 1e-3))
    levels = np.log10([draws.of(seed, OWN).accuracy for seed in range(3000)])
    assert levels.min() >= -6.0
    assert levels.max() <= -3.0
    counts, _ = np.histogram(levels, bins=[-6, -5, -4, -3])
    # A binomial's spread is 26 of 1,000.
    np.testing.assert_allclose(counts, 1000, atol=105)


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.3, 250, 350), (1.0, 1000, 1000)])
def test_late_controls_are_in_their_share_of_the_episodes(share: float, least: int, most: int) -> None:
    draws = Draws(stale_share=share)
    found = [draws.of(seed, OWN) for seed in range(1000)]
    assert least <= sum(one.stale_controls for one in found) <= most
    assert {one.accuracy for one in found} == {OWN.accuracy}


def test_whether_controls_are_late_does_not_depend_on_what_else_is_drawn() -> None:
    alone, both = Draws(stale_share=0.5), Draws(accuracies=(1e-6, 1e-3), stale_share=0.5)
    for seed in range(50):
        assert alone.of(seed, OWN).stale_controls == both.of(seed, OWN).stale_controls
        assert both.of(seed, OWN).accuracy == Draws(accuracies=(1e-6, 1e-3)).of(seed, OWN).accuracy


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "native/RungeKuttaMerson/5e-05/stale-controls"),
        ({"stale_share": None}, "native/RungeKuttaMerson/5e-05"),
        ({"stale_share": None, "stale_controls": True}, "native/RungeKuttaMerson/5e-05/stale-controls"),
        ({"accuracies": None, "accuracy": 1e-4}, "native/RungeKuttaMerson/0.0001/stale-controls"),
        ({"integrator": None, "stale_share": None}, "native/BogackiShampine32/1e-05"),
        ({"physics": "opensim"}, "opensim/RungeKuttaMerson/5e-05/stale-controls"),
        ({"physics": "opensim", "integrator": None, "stale_share": None}, "opensim/SemiExplicitEuler2/0.01/1ms"),
    ],
)
def test_scores_are_never_made_with_a_drawn_accuracy(changes: dict[str, Any], name: str) -> None:
    config = replace(DRAWN, **changes)
    assert config.draws
    scored = config.scored()
    assert scored.physics_settings.name == name
    for alike in (scored, config.on("native"), config.on("opensim", "RungeKuttaMerson", 1e-7), config.official()):
        assert not alike.draws
        assert alike.physics_settings.draws is None
    assert config.official().physics_settings.name == "opensim/RungeKuttaMerson/5e-05/stale-controls"
    assert scored.scored() == scored


def test_a_physics_that_draws_says_so_in_its_name() -> None:
    assert DRAWN.physics_settings.name == "native/RungeKuttaMerson/1e-06..0.001/stale-controls:0.5"
    late = replace(DRAWN, stale_share=None, stale_controls=True)
    assert late.physics_settings.name == "native/RungeKuttaMerson/1e-06..0.001/stale-controls"
    assert NativeSettings(draws=Draws((1e-6, 1e-4))).name == "native/BogackiShampine32/1e-06..0.0001"
    assert OpenSimSettings(draws=Draws((1e-4, 1e-2))).name == "opensim/SemiExplicitEuler2/0.0001..0.01/1ms"
    shared = replace(DRAWN, physics="opensim", accuracies=None, accuracy=1e-4)
    assert shared.physics_settings.name == "opensim/RungeKuttaMerson/0.0001/stale-controls:0.5"


def test_an_integration_comes_back_from_its_facts() -> None:
    integration = Integration(1.2345678901234567e-5, stale_controls=True)
    assert Integration.of(integration.facts() | {"kind": "pushed"}) == integration
    assert Integration.of({"kind": "pushed"}) is None


@pytest.mark.opensim
def test_opensim_takes_accuracy_and_late_controls_from_the_next_reset_on() -> None:
    from environment.physics.opensim import OpenSimPhysics

    def body(settings: OpenSimSettings) -> OpenSimPhysics:
        return OpenSimPhysics(model_path("3D_pros"), settings)

    excitations = np.random.default_rng(0).random((5, 19))

    def states(physics: OpenSimPhysics) -> bytes:
        physics.reset()
        return b"".join(physics.step(excitation).tobytes() for excitation in excitations)

    drawn = body(OpenSimSettings("RungeKuttaMerson", draws=Draws((1e-5, 1e-2), stale_share=0.5)))
    for accuracy in (1e-3, 1e-5):
        drawn.integrate_as(Integration(accuracy, stale_controls=True))
        assert states(drawn) == states(body(OpenSimSettings("RungeKuttaMerson", accuracy, stale_controls=True)))
    late = states(drawn)
    drawn.integrate_as(Integration(1e-5))
    punctual = states(drawn)
    assert punctual != late
    drawn.reset()
    for excitation in excitations[:3]:
        drawn.step(excitation)
    middle = drawn.snapshot()
    assert middle.integration == Integration(1e-5)
    drawn.integrate_as(Integration(1e-3, stale_controls=True))
    drawn.reset()
    drawn.restore(middle)
    # What an integrator remembers of the past is lost, and nothing else.
    last = np.frombuffer(punctual).reshape(5, -1)[3]
    np.testing.assert_allclose(drawn.step(excitations[3])[:14], last[:14], atol=1e-5)
    with pytest.raises(ValueError, match=r"integrator accuracy 0\.5 is outside"):
        drawn.integrate_as(Integration(0.5))
    with pytest.raises(ValueError, match="has no late controls, and an episode asks for them"):
        body(OpenSimSettings()).integrate_as(Integration(1e-3, stale_controls=True))
