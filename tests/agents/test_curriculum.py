"""The curriculum: the log says which stage a run is at, and what workers write is at that stage."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from agents.build import create_run
from agents.config import RunConfig
from agents.curriculum import STAGE, Curriculum
from agents.curriculum_config import CurriculumConfig
from agents.plain import ConfigError
from agents.replay.contract import EpisodeWriter, ReplayUnavailable
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Episode
from agents.starts import stages
from agents.worker import Rollouts
from environment.stages import Stage
from environment.state import TARGET_VELOCITY
from tests.agents.test_starts import store
from tests.runs import RUN, open_run, quiet_telemetry, small_config

THREE = {"speeds_m_per_s": [2.0, 1.25, 1.25], "changes": [0.0, 0.0, 1.0], "episodes": 4, "success_share": 0.5}


def settings(**changes: Any) -> CurriculumConfig:
    return RunConfig.of({"curriculum": THREE | changes}).curriculum


@pytest.fixture
def replay() -> MemoryReplay:
    store = MemoryReplay()
    open_run(store, small_config())
    return store


def played(writer: EpisodeWriter, stage: int, lasted: Sequence[bool], kind: str = "none", **start: Any) -> None:
    for one in lasted:
        ended = "time_limit" if one else "fall"
        store(writer, 1, 1.0, length=3, ended=ended, start={STAGE: stage}, exploration={"kind": kind}, **start)


def curriculum(replay: MemoryReplay, *, noise_free_only: bool = True, **changes: Any) -> Curriculum:
    return Curriculum(replay, RUN, settings(**changes), noise_free_only=noise_free_only)


def number(found: Curriculum) -> int:
    found.refresh()
    return found.now()[0]


def test_the_next_stage_begins_when_enough_of_the_newest_episodes_lasted(replay: MemoryReplay) -> None:
    found, writer = curriculum(replay), replay.writer(RUN, "w")
    assert found.now() == (0, Stage(2.0, 0.0))
    played(writer, 0, [True, False, False, False])
    assert number(found) == 0, "a quarter is not half"
    played(writer, 0, [True])
    assert number(found) == 0, "the first success is no longer among the newest"
    played(writer, 0, [True])
    assert number(found) == 1
    played(writer, 0, [True] * 4)
    assert number(found) == 1, "episodes of the stage before say nothing of this one"
    played(writer, 1, [True] * 3)
    assert number(found) == 1, "not enough episodes yet"
    played(writer, 1, [False])
    assert number(found) == 2
    played(writer, 2, [True] * 9)
    assert found.now() == (2, Stage(1.25, 1.0)), "the last stage stays"


def test_episodes_with_noise_count_only_where_there_are_no_others(replay: MemoryReplay) -> None:
    played(replay.writer(RUN, "w"), 0, [True] * 8, kind="gaussian")
    assert number(curriculum(replay)) == 0
    assert number(curriculum(replay, noise_free_only=False)) == 1


def test_evaluations_and_episodes_of_no_stage_do_not_count(replay: MemoryReplay) -> None:
    writer = replay.writer(RUN, "w")
    played(writer, 0, [True] * 8, purpose="evaluate")
    for _ in range(8):
        store(writer, 1, 1.0, length=3, ended="time_limit", exploration={"kind": "none"})
    assert number(curriculum(replay)) == 0


def test_a_worker_follows_another_that_has_seen_more_and_a_resumed_run_goes_on(replay: MemoryReplay) -> None:
    played(replay.writer(RUN, "other"), 2, [False])
    assert number(curriculum(replay)) == 2


def test_a_database_that_is_away_leaves_the_stage_as_it_is(
    replay: MemoryReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    played(replay.writer(RUN, "w"), 1, [False])
    found = curriculum(replay, refresh_s=1e-6)
    assert found.now()[0] == 1
    asked = threading.Event()

    def away(*_: Any) -> list[Episode]:
        asked.set()
        raise ReplayUnavailable("away")

    monkeypatch.setattr(replay, "episodes_after", away)
    assert found.now()[0] == 1
    assert asked.wait(10)
    assert found.now()[0] == 1


def test_without_stages_targets_are_the_tasks(replay: MemoryReplay) -> None:
    config = small_config()
    assert stages(replay.run(RUN), config, replay) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"changes": [0.0]}, "must be as many"),
        ({"speeds_m_per_s": [-1.0, 1.0, 1.0]}, "must be 0 or more"),
        ({"changes": [0.0, -0.5, 1.0]}, "must be 0"),
        ({"late_targets": [0.0, 0.5]}, "must be one for each of 3 stages"),
        ({"late_targets": [0.0, 0.5, 1.5]}, "must be in 0..1"),
        ({"success_share": 0.0}, "success_share=0.0"),
        ({"episodes": 0}, "episodes=0"),
        ({"refresh_s": 0.0}, "refresh_s=0.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(**changes)


def test_a_stage_may_begin_late_in_its_targets() -> None:
    assert settings(late_targets=[0.0, 0.0, 0.5]).stages[-1] == Stage(1.25, 1.0, 0.5)
    assert settings().stages[-1] == Stage(1.25, 1.0, 0.0)
    both = {"curriculum": THREE | {"late_targets": [0.0, 0.0, 0.5]}, "environment": {"late_targets": 0.5}}
    with pytest.raises(ConfigError, match="leave one of them out"):
        RunConfig.of(both)


@pytest.mark.parametrize("bodies", [1, 4])
def test_a_worker_plays_the_stage_and_its_episodes_say_so(bodies: int, tmp_path: Any) -> None:
    replay = MemoryReplay()
    easy = THREE | {"episodes": 2, "success_share": 1.0, "refresh_s": 0.01}
    config = RunConfig.of(
        {
            "environment": {"max_steps": 6},
            "rollout": {"bodies": bodies},
            "curriculum": easy,
            "exploration": {"noise_free_share": 0.0},
        }
    )
    run = create_run(RUN, config, replay)
    done: list[int] = []
    rollouts = Rollouts(run, config, replay, None, quiet_telemetry(tmp_path))

    def enough() -> bool:
        done.append(1)
        return len(done) > 12

    rollouts.work(0, 1, lambda: False, enough)
    episodes = [one for one in replay.episodes_after(RUN, {}) if one.ended != "aborted"]
    assert len(episodes) >= 10
    target = [run.state_names.index(f"{TARGET_VELOCITY}/{axis}") for axis in "xyz"]
    speeds = dict(enumerate([2.0, 1.25, 1.25]))
    for episode in episodes:
        assert episode.start.in_default_pose
        asked = replay.timesteps(episode).state[:, target]
        assert asked[0].tolist() == [speeds[episode.start.start[STAGE]], 0.0, 0.0]
