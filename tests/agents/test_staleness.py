"""How old what is sampled is told to be, beside a plain count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.checkpoints.memory import MemoryCheckpoints
from agents.replay.memory import MemoryReplay
from agents.staleness import SampleAges
from agents.telemetry import read_statuses
from agents.training import publications, train_run
from tests.clock import Clock
from tests.runs import RUN, explore, open_run, quiet_telemetry, small_config


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("agents.staleness.time", made)
    return made


def test_ages_are_those_of_a_plain_count(clock: Clock) -> None:
    now_s, random = clock.time(), np.random.default_rng(0)
    published = {number: now_s - 500.0 + 3.0 * number for number in range(1, 101) if number % 7}
    ages = SampleAges(published)
    batches = [random.choice([0, *published], 256) for _ in range(5)]
    for batch in batches:
        ages.sampled(batch)
    sampled = np.concatenate(batches)
    behind = np.array([sum(number > one for number in published) for one in sampled])
    age_s = np.array([now_s - published[one] for one in sampled if one])
    assert ages.metrics() == pytest.approx(
        {
            "sample/share_version_0": np.mean(sampled == 0),
            "sample/age_versions_p50": np.percentile(behind, 50, method="inverted_cdf"),
            "sample/age_versions_p95": np.percentile(behind, 95, method="inverted_cdf"),
            "sample/age_s_p50": np.percentile(age_s, 50, method="inverted_cdf"),
            "sample/age_s_p95": np.percentile(age_s, 95, method="inverted_cdf"),
        }
    )


def test_a_version_that_comes_out_makes_all_samples_older(clock: Clock) -> None:
    ages = SampleAges({})
    assert ages.metrics() == {}
    ages.sampled(np.array([0, 0, 0, 1]))
    assert ages.metrics() == {
        "sample/share_version_0": 0.75,
        "sample/age_versions_p50": 0.0,
        "sample/age_versions_p95": 0.0,
    }
    ages.published(1, clock.time())
    clock.sleep(30.0)
    ages.published(2, clock.time())
    clock.sleep(12.0)
    found = ages.metrics()
    assert (found["sample/age_versions_p50"], found["sample/age_versions_p95"]) == (2.0, 2.0)
    assert (found["sample/age_s_p50"], found["sample/age_s_p95"]) == (42.0, 42.0)


def test_only_the_newest_batches_count(clock: Clock) -> None:
    ages = SampleAges({1: clock.time()})
    ages.sampled(np.zeros(10, np.int64))
    for _ in range(64):
        ages.sampled(np.ones(10, np.int64))
    assert ages.metrics()["sample/share_version_0"] == 0.0


def test_a_learner_reports_how_old_its_samples_are_and_what_publishing_costs_it(tmp_path: Path) -> None:
    replay, store, config = MemoryReplay(), MemoryCheckpoints(), small_config()
    run = open_run(replay, config)
    explore(replay, config, run, 400)
    for _ in range(2):
        newest = store.latest(RUN)
        goal = 3 + (newest.number if newest else 0)

        def enough(goal: int = goal) -> bool:
            latest = store.latest(RUN)
            return latest is not None and latest.number >= goal

        train_run(run, config, replay, store, quiet_telemetry(tmp_path, "learner"), enough)
        status = read_statuses(tmp_path)["learner"]
        metrics = status["metrics"]
        assert metrics["sample/share_version_0"] == 1.0
        versions = len(publications(replay, RUN))
        # The last one comes out while the last report is made.
        assert metrics["sample/age_versions_p50"] in (versions - 1, versions), "those of an earlier life as well"
        assert "sample/age_s_p50" not in metrics, "random actions were never published"
        assert 0.0 < status["publish_blocked_ms"] <= status["publish_longest_blocked_ms"]
