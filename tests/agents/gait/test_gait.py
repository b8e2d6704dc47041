"""The gait card: of walks made by hand, whose steps are known."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from agents.gait.card import GaitCard, LegCard, Walk, gait_card
from agents.gait.feet import Feet, body_weight_n
from agents.gait.plot import headline, lines, plot
from agents.gait.steps import standing, steps_of
from agents.official.native import play_natively
from agents.official.rules import environment_of, on_native, uniform
from environment.state import Entry, StateLayout
from tests.bodied import body_contract, body_layout

WEIGHT_N = 700.0
STRIDE_S, STANCE = 1.0, 0.6
STEP_M = {"right": 0.62, "left": 0.48}
"""From the other heel to this one when it strikes."""
PEAK = {"right": 1.1, "left": 1.3}
"""Body weights."""
HEEL_AHEAD_M = {"right": -0.01877, "left": 0.03}
"""Of the foot's origin."""


def walk_by_hand(seconds: float = 6.0, heading_rad: float = 0.0) -> np.ndarray:
    """(T+1, S) of somebody who limps: right strikes at 0, 1, 2 s …, left half a second later."""
    layout, steps = body_layout(), round(100 * seconds)
    stride_m = sum(STEP_M.values())
    states = np.zeros((steps + 1, layout.size))
    seconds_ = np.arange(steps + 1) / 100
    along = np.array([math.cos(heading_rad), 0.0, math.sin(heading_rad)])
    states[:, layout.where("body_pos/pelvis")] = np.outer(stride_m * seconds_, along) + np.array((0.0, 0.94, 0.0))
    states[:, layout.where("body_vel/pelvis")] = stride_m / STRIDE_S * along
    states[:, layout.where("target_vel")] = [1.25, 0.0, 0.0]
    for leg, body, force, begins_s, first_m in (
        ("right", "pros_foot_r", "pros_foot_r", 0.0, 0.0),
        ("left", "calcn_l", "foot_l", 0.5, STEP_M["left"]),
    ):
        phase = seconds_ - begins_s
        number, part = np.floor(phase / STRIDE_S + 1e-9), (phase / STRIDE_S) % 1.0
        part = np.where(part > 1 - 1e-9, 0.0, part)
        stands = part < STANCE - 1e-9
        swung = np.where(stands, 0.0, (part - STANCE) / (1 - STANCE))
        heel = first_m + stride_m * (number + swung)
        states[:, layout.where(f"body_pos/{body}")] = np.outer(heel, along) - [HEEL_AHEAD_M[leg], 0.0, 0.0]
        load = np.where(stands, PEAK[leg] * np.maximum(np.sin(np.pi * part / STANCE), 0.06), 0.0)
        states[:, layout.index[f"forces/{force}/ground.force.Y"]] = -WEIGHT_N * load
    states[:, layout.index["muscles/soleus_l/activation"]] = 0.5
    states[:, layout.index["muscles/abd_r/activation"]] = 0.1
    return states.astype(np.float32)


def card_of(*states: np.ndarray, fell: bool = False) -> GaitCard:
    return gait_card(body_layout(), [Walk(7, one, fell) for one in states], WEIGHT_N)


@pytest.mark.parametrize("heading_rad", [0.0, 0.7, -2.0])
def test_steps_and_strides_are_those_that_were_walked_in_any_direction(heading_rad: float) -> None:
    card = card_of(walk_by_hand(heading_rad=heading_rad))
    for leg, other in (("right", "left"), ("left", "right")):
        found = card.legs[leg]
        assert found.step_length_m == pytest.approx(STEP_M[leg], abs=1e-3)
        assert found.step_length_spread_m == pytest.approx(0.0, abs=1e-3)
        assert found.stride_length_m == pytest.approx(STEP_M[leg] + STEP_M[other], abs=1e-3)
        assert found.frequency_hz == pytest.approx(1.0)
        assert found.stance_share == pytest.approx(STANCE)
        assert found.peak_body_weights == pytest.approx(PEAK[leg], abs=0.01)
        assert found.highest_body_weights == pytest.approx(PEAK[leg], abs=0.01)
    assert card.cadence_steps_per_minute == pytest.approx(120.0)
    assert card.speed_m_per_s == pytest.approx(1.1)


def test_only_strikes_after_the_first_second_count() -> None:
    # Right strikes at 1, 2, … 6 s (the one at 1.00 s is the first that counts), left at 1.5 … 5.5 s.
    card = card_of(walk_by_hand(6.0))
    assert (card.legs["right"].steps, card.legs["left"].steps) == (6, 5)


def test_asymmetry_is_the_difference_of_the_legs_over_their_mean() -> None:
    card = card_of(walk_by_hand())
    assert card.asymmetry["step_length_m"] == pytest.approx((0.48 - 0.62) / 0.55, abs=0.005)
    assert card.asymmetry["peak_body_weights"] == pytest.approx(0.2 / 1.2, abs=0.01)
    assert card.asymmetry["frequency_hz"] == pytest.approx(0.0)


def test_effort_is_squared_activation_over_time_by_distance_and_muscles_are_means() -> None:
    card = card_of(walk_by_hand(), walk_by_hand(4.0))
    assert card.episodes == 2
    assert card.seconds == pytest.approx(10.0)
    assert card.distance_m == pytest.approx(11.0, rel=1e-4)
    assert card.effort_per_metre_s == pytest.approx((0.5**2 + 0.1**2) * 10.0 / 11.0, rel=1e-4)
    assert card.activation["soleus_l"] == pytest.approx(0.5)
    assert card.activation["abd_r"] == pytest.approx(0.1)
    assert card.activation["vasti_r"] == 0.0
    assert len(card.activation) == 19


def test_the_second_before_a_fall_is_left_out() -> None:
    states = walk_by_hand(6.0)
    states[-100:, body_layout().index["forces/foot_l/ground.force.Y"]] = -20 * WEIGHT_N  # the crash
    fallen, lasting = card_of(states, fell=True), card_of(states)
    assert fallen.seconds == pytest.approx(5.0)
    assert fallen.legs["left"].highest_body_weights == pytest.approx(PEAK["left"], abs=0.01)
    assert lasting.legs["left"].steps >= fallen.legs["left"].steps


def test_who_stands_takes_no_step_and_has_no_effort_per_metre() -> None:
    layout = body_layout()
    states = np.repeat(walk_by_hand()[:1], 400, axis=0)
    for force in ("pros_foot_r", "foot_l"):
        states[:, layout.index[f"forces/{force}/ground.force.Y"]] = -0.5 * WEIGHT_N
    card = card_of(states)
    assert card.legs["right"].steps == card.legs["left"].steps == 0
    assert card.legs["right"].step_length_m is None
    assert card.cadence_steps_per_minute is None
    assert card.effort_per_metre_s is None
    assert card.asymmetry["step_length_m"] is None
    assert "- steps a minute" in headline(card)


def test_a_foot_that_bounces_takes_one_step() -> None:
    load = np.concatenate((np.zeros(10), np.ones(20), np.zeros(4), np.ones(30), np.zeros(10), np.ones(3), np.zeros(9)))
    stands = np.flatnonzero(standing(load))
    assert (stands[0], stands[-1], len(stands)) == (10, 63, 54)


def test_heels_turn_with_their_feet() -> None:
    layout = body_layout()
    feet, states = Feet(layout), np.zeros((3, layout.size))
    angles = layout.where("body_pos_rot/calcn_l")
    states[1, angles] = [0.0, np.pi / 2, 0.0]
    states[2, angles] = [0.0, 0.0, np.pi / 2]
    heel = feet.heel_m(states, "left")
    np.testing.assert_allclose(heel, [[0.03, 0.02, 0.0], [0.0, 0.02, -0.03], [-0.02, 0.03, 0.0]], atol=1e-12)


def test_the_rotation_is_that_of_the_real_body() -> None:
    """The toes are fixed to the left foot but for one angle, whose axis the toes' origin lies on."""
    layout = body_layout()
    config = on_native(environment_of(body_contract(), "prosthetics-round2", 100))
    (played,) = play_natively(config, uniform(19), [5])
    feet = Feet(layout)
    heel = feet.heel_m(played.states, "left")
    toes = played.states[:, layout.where("body_pos/toes_l")].astype(np.float64)
    apart = np.linalg.norm(toes - heel, axis=1)
    assert np.ptp(apart) < 1e-5
    assert np.ptp(played.states[:, layout.where("body_pos_rot/calcn_l")], axis=0).min() > 0.05, "it did not turn"
    assert 0.0 < heel[0, 1] < 0.1


def test_feet_that_are_not_known_are_refused() -> None:
    layout = StateLayout((Entry("body_pos/pelvis/x", "m"),))
    with pytest.raises(ValueError, match="no right foot"):
        steps_of(layout, np.zeros((3, 1)), WEIGHT_N)
    with pytest.raises(ValueError, match="at least one episode"):
        gait_card(body_layout(), [], WEIGHT_N)


def test_the_bodies_weigh_what_their_models_say() -> None:
    assert body_weight_n("3D_pros") == pytest.approx(72.17 * 9.80665, abs=0.5)
    assert body_weight_n("3D") > body_weight_n("3D_pros")


def test_the_card_is_a_document_lines_and_a_picture(tmp_path: Path) -> None:
    card = card_of(walk_by_hand())
    document = json.loads(json.dumps(card.document()))
    assert document["legs"]["right"]["step_length_m"] == card.legs["right"].step_length_m
    assert len(document["legs"]["left"]["cycle_body_weights"]) == 51
    assert max(document["legs"]["left"]["cycle_body_weights"]) == pytest.approx(PEAK["left"], abs=0.02)
    assert "trace" not in document
    text = "\n".join(lines(card))
    assert "gait: 1.10 m/s, 120 steps a minute" in text
    assert "most active: soleus_l 0.50, abd_r 0.10" in text
    for name, drawn in (("walks", card), ("stands", dataclasses.replace(card, legs=stands_of(card), trace=None))):
        path = tmp_path / f"{name}.png"
        plot(drawn, path, "by hand")
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert path.stat().st_size > 20_000


def stands_of(card: GaitCard) -> dict[str, LegCard]:
    numbers = {one.name: None for one in dataclasses.fields(LegCard) if one.name not in ("steps", "cycle_body_weights")}
    return dict.fromkeys(card.legs, LegCard(steps=0, cycle_body_weights=(), **numbers))
