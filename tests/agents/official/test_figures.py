"""What is reported of scored episodes: worked by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from agents.baselines import Score
from agents.official.episode import EpisodeScore
from agents.official.figures import RoundScores, rows
from agents.official.table import table
from agents.official.verdict import FALLING, MOVING, STANDING, WALKING, verdict
from environment.tasks import task

HELD_OUT, GRADER = (1001, 1002, 1003, 1004), (11, 22)
FIRST = EpisodeScore(
    seed=0,
    task="prosthetics-round2",
    physics="opensim/x",
    episode_return=9000.0,
    length=1000,
    ended="time_limit",
    distance_m=12.0,
    speed_error_m_per_s=0.1,
    speed_m_per_s=1.2,
)
FALL = dataclasses.replace(FIRST, episode_return=1000.0, length=150, ended="fall", distance_m=1.0)


def scores(held_out: Sequence[EpisodeScore], native: Sequence[EpisodeScore] | None = None) -> RoundScores:
    def by_seed(found: Sequence[EpisodeScore]) -> dict[int, EpisodeScore]:
        together = (*found, FIRST, dataclasses.replace(FIRST, episode_return=9500.0))
        seeds = (*HELD_OUT, *GRADER)
        return {seed: dataclasses.replace(one, seed=seed) for seed, one in zip(seeds, together, strict=True)}

    episodes = {"policy": by_seed(held_out), "random": by_seed([FALL] * 4)}
    if native is not None:
        episodes["native"] = by_seed(native)

    def ideal(value: float) -> tuple[Score, Score]:
        held, graded = (value, value + 100, value, value - 100), (value, value + 50)
        return (
            Score(HELD_OUT, held, (1000,) * 4, (False,) * 4),
            Score(GRADER, graded, (1000,) * 2, (False,) * 2),
        )

    return RoundScores(
        task=task("prosthetics-round2"),
        steps=1000,
        seeds=HELD_OUT,
        grader=GRADER,
        episodes=episodes,
        ideals={"standing": ideal(8000.0), "blind_walking": ideal(9800.0)},
    )


def named(found: RoundScores) -> dict[str, object]:
    return {str(row["name"]): row["value"] for row in rows(found)}


def test_rows_are_the_figures_of_the_held_out_seeds_by_name() -> None:
    other = dataclasses.replace(FIRST, episode_return=9400.0, distance_m=4.0, speed_error_m_per_s=0.3)
    found = named(scores([FIRST, other, FALL, dataclasses.replace(FALL, length=250)]))
    assert found["round2/mean"] == pytest.approx((9000 + 9400 + 1000 + 1000) / 4)
    assert found["round2/std"] == pytest.approx(4102.4383)
    assert found["round2/worst"] == 1000.0
    assert found["round2/fall_rate"] == 0.5
    assert found["round2/steps_to_fall"] == 200.0
    assert found["round2/walked_rate"] == 0.25
    assert found["round2/distance_m"] == pytest.approx((12 + 4 + 1 + 1) / 4)
    assert found["round2/speed_error_m_per_s"] == pytest.approx(0.15)
    assert found["round2/normalised"] == pytest.approx((5100 - 8000) / (10000 - 8000))
    assert found["round2/grader_mean"] == 9250.0
    assert (found["round2/grader_11"], found["round2/grader_22"]) == (9000.0, 9500.0)
    assert found["round2/standing/mean"] == 8000.0
    assert found["round2/standing/normalised"] == 0.0
    assert found["round2/standing/grader_mean"] == 8025.0
    assert found["round2/blind_walking/worst"] == 9700.0
    assert found["round2/blind_walking/normalised"] == pytest.approx(0.9)
    assert found["round2/random/mean"] == 1000.0
    assert not any("native" in name for name in found)


def test_steps_to_fall_are_not_known_of_who_never_falls() -> None:
    assert named(scores([FIRST] * 4))["round2/steps_to_fall"] is None


def test_an_episode_that_the_simulator_could_not_finish_counts_as_a_fall() -> None:
    broken = dataclasses.replace(FIRST, ended="simulator_error: no", length=30)
    found = named(scores([FIRST, FIRST, FIRST, broken]))
    assert (found["round2/fall_rate"], found["round2/steps_to_fall"]) == (0.25, 30.0)


def test_the_difference_to_the_native_engine_is_taken_episode_by_episode() -> None:
    native = [dataclasses.replace(FIRST, episode_return=value) for value in (8990.0, 9004.0, 9000.0)] + [FALL]
    found = scores([FIRST] * 4, native)
    told = named(found)
    assert told["round2/native/mean"] == pytest.approx((8990 + 9004 + 9000 + 1000) / 4)
    assert told["round2/native_difference/mean"] == pytest.approx((10 - 4 + 0 + 8000) / 4)
    assert told["round2/native_difference/largest_size"] == 8000.0
    assert told["round2/native_difference/median_size"] == pytest.approx(2.0)
    assert told["round2/native_difference/same_ending_rate"] == pytest.approx(5 / 6)
    assert "minus native, episode by episode: mean +2,001.5, median size 2.00, largest 8,000.0; 83% end alike" in table(
        found
    )


def test_who_only_stands_is_called_standing_however_high_the_score() -> None:
    still = dataclasses.replace(FIRST, episode_return=8300.0, distance_m=0.4)
    found = verdict(scores([still, still, still, dataclasses.replace(still, distance_m=1.2)]))
    assert found.label == STANDING
    assert str(found) == "standing: it never falls and gets 0.60 m far on average"


def test_who_stands_and_falls_once_does_not_stand() -> None:
    still = dataclasses.replace(FIRST, distance_m=0.4)
    assert verdict(scores([still, still, still, FALL])).label == MOVING


def test_walking_is_five_metres_without_a_fall_in_most_episodes() -> None:
    short = dataclasses.replace(FIRST, distance_m=4.9)
    walks = verdict(scores([FIRST, FIRST, FIRST, FALL]))
    assert walks.label == WALKING
    assert "5 m or more without a fall in 3 of 4 episodes; not above the ideal blind walker" in walks.sentence
    assert "7,000 against 9,800" in walks.sentence
    best = verdict(scores([dataclasses.replace(FIRST, episode_return=9900.0)] * 4))
    assert "4 of 4 episodes; above the ideal blind walker on the same seeds, 9,900 against 9,800" in best.sentence
    assert verdict(scores([FIRST, FIRST, short, short])).label == MOVING
    assert verdict(scores([FALL, FALL, FALL, FIRST])).label == FALLING


def test_what_counts_as_walked_or_standing_shrinks_with_a_shorter_episode() -> None:
    short = dataclasses.replace(FIRST, length=300, distance_m=1.6)
    found = dataclasses.replace(scores([short] * 4), steps=300)
    assert found.walked_m == pytest.approx(1.5)
    assert verdict(found).label == WALKING
    still = dataclasses.replace(scores([dataclasses.replace(short, distance_m=0.29)] * 4), steps=300)
    assert verdict(still).label == STANDING


def test_the_table_has_everybody_beside_the_policy() -> None:
    lines = table(scores([FIRST, FIRST, FIRST, FALL], [FIRST] * 4)).splitlines()
    assert lines[0].split("  ")[0] == "round2, held-out seeds 1001 to 1004"
    for name in ("policy", "on native", "standing", "blind walking", "random"):
        assert name in lines[0]
    (mean,) = [line for line in lines if line.startswith("  mean  ")]
    assert mean.split() == ["mean", "7,000.0", "9,000.0", "8,000.0", "9,800.0", "1,000.0"]
    (walked,) = [line for line in lines if "walked 5 m without a fall" in line]
    assert walked.split()[-5:] == ["75.0%", "100.0%", "-", "-", "0.0%"]
    assert any(line.endswith("11: 9,000.0, 22: 9,500.0") for line in lines)
