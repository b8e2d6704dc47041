"""Starts as a run has them: settings, states of stored episodes, and what the log says of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.build import build_environment, build_resimulator, create_run
from agents.config import RunConfig
from agents.plain import ConfigError
from agents.replay.contract import EpisodeWriter, ReplayUnavailable
from agents.replay.data.parquet import EPISODES, episodes_of, episodes_table
from agents.replay.data.verify import verify
from agents.replay.documents import start_document, start_of
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Episode, EpisodeStart, Run
from agents.replay_starts import ReplayStarts
from agents.resimulation import Divergence, resimulate
from agents.starts import start_source
from agents.starts_config import StartsConfig
from agents.worker import Rollouts
from environment.starts import Mixture
from environment.timestep import TimeStep
from tests.fakes import FakePhysics
from tests.runs import RUN, fake_environment, open_run, quiet_telemetry, small_config

LAYOUT = FakePhysics().layout.with_target()
PLACE = LAYOUT.index["joint_pos/ground_pelvis/pelvis_tx"]
SPEED = LAYOUT.index["joint_vel/ground_pelvis/pelvis_tx"]
POSE = FakePhysics().reset()


def configured(**starts: Any) -> RunConfig:
    return RunConfig.of({**small_config().plain(), "starts": starts})


@pytest.fixture
def replay() -> MemoryReplay:
    return MemoryReplay()


@pytest.fixture
def run(replay: MemoryReplay) -> Run:
    return open_run(replay, small_config())


def store(
    writer: EpisodeWriter, number: int, returned: float, length: int = 100, *, ended: str = "fall", **start: Any
) -> Episode:
    """An episode whose pelvis is at `number` + step / 1000 m."""
    none = np.zeros(4, np.float32)

    def timestep(step: int) -> TimeStep:
        state = np.append(POSE, [1.25, 0.0, 0.0]).astype(np.float32)
        state[PLACE] = number + step / 1000
        last = step == length
        reward = returned / length if step else 0.0
        return TimeStep(
            step, state, none, none, step > 0, reward, last and ended == "fall", last and ended == "time_limit"
        )

    writer.begin(EpisodeStart(seed=number, policy_version=1, **start), timestep(0))
    for step in range(1, length + 1):
        writer.add(timestep(step))
    return writer.end(ended=ended, reward_terms={"all": writer_return(returned, length)}, step_ms_mean=1.0)


def writer_return(returned: float, length: int) -> float:
    return sum(returned / length for _ in range(length))


def places(source: ReplayStarts, draws: int = 600) -> NDArray[np.float64]:
    """Where the pelvis is in so many starts."""
    generator = np.random.default_rng(0)
    starts = [source.draw(generator, POSE) for _ in range(draws)]
    assert all(start.state is not None and start.state.shape == POSE.shape for start in starts)
    return np.array([start.state[PLACE] for start in starts if start.state is not None])


def test_best_takes_the_episodes_of_highest_return_among_the_newest(replay: MemoryReplay, run: Run) -> None:
    writer = replay.writer(RUN, "w")
    for number, returned in enumerate([99.0, 5.0, 1.0, 7.0, 3.0]):
        store(writer, number, returned)
    source = ReplayStarts(replay, run, StartsConfig(replay_share=1.0, replay_newest=4, replay_episodes=2))
    assert set(np.floor(places(source)).astype(int)) == {1, 3}


def test_recent_takes_the_newest_and_any_takes_all(replay: MemoryReplay, run: Run) -> None:
    writer = replay.writer(RUN, "w")
    for number in range(6):
        store(writer, number, 10.0 - number)
    recent = ReplayStarts(replay, run, StartsConfig(replay="recent", replay_newest=5, replay_episodes=2))
    assert set(np.floor(places(recent)).astype(int)) == {4, 5}
    one_of_six = StartsConfig(replay="any", replay_newest=1, replay_episodes=1)
    found = set()
    for _ in range(60):
        found |= set(np.floor(places(ReplayStarts(replay, run, one_of_six), 1)).astype(int))
    assert found == {0, 1, 2, 3, 4, 5}


def test_every_state_but_those_shortly_before_a_fall_is_a_start(replay: MemoryReplay, run: Run) -> None:
    writer = replay.writer(RUN, "w")
    store(writer, 1, 1.0)
    store(writer, 2, 1.0, ended="time_limit")
    store(writer, 3, 1.0, length=40)
    drawn = places(ReplayStarts(replay, run, StartsConfig()), 4000)
    fell, stood = np.round(1000 * (drawn[drawn < 2] - 1)), np.round(1000 * (drawn[drawn >= 2] - 2))
    assert set(fell.astype(int)) == set(range(51))
    assert set(stood.astype(int)) == set(range(101))
    to_the_end = places(ReplayStarts(replay, run, StartsConfig(replay_margin_s=0.0)), 4000)
    assert set(np.round(1000 * (to_the_end[to_the_end >= 3] - 3)).astype(int)) == set(range(41))


def test_a_start_says_where_it_is_from(replay: MemoryReplay, run: Run) -> None:
    writer = replay.writer(RUN, "w")
    episodes = {store(writer, number, 1.0, length=60 + number).id: number for number in range(3)}
    source, generator = ReplayStarts(replay, run, StartsConfig()), np.random.default_rng(1)
    for _ in range(200):
        start = source.draw(generator, POSE)
        assert start.state is not None
        assert (start.facts["kind"], start.facts["choice"]) == ("replay", "best")
        place = episodes[start.facts["episode"]] + start.facts["step"] / 1000
        assert start.state[PLACE] == pytest.approx(place, abs=1e-6)


def test_evaluations_are_no_starts_and_without_episodes_it_is_the_default_pose(replay: MemoryReplay, run: Run) -> None:
    store(replay.writer(RUN, "w"), 1, 1.0, purpose="evaluate")
    start = ReplayStarts(replay, run, StartsConfig()).draw(np.random.default_rng(0), POSE)
    assert (start.state, start.facts) == (None, {})


def test_new_episodes_are_found_and_only_they_are_read(
    replay: MemoryReplay, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = MemoryReplay.timesteps_of

    def counted(self: MemoryReplay, episodes: Sequence[Episode]) -> Any:
        read.extend(episode.id for episode in episodes)
        return original(self, episodes)

    monkeypatch.setattr(MemoryReplay, "timesteps_of", counted)
    writer = replay.writer(RUN, "w")
    first = store(writer, 1, 1.0)
    source = ReplayStarts(replay, run, StartsConfig(replay_episodes=2))
    source.refresh()
    second, third = store(writer, 2, 3.0), store(writer, 3, 2.0)
    source.refresh()
    assert read == [first.id, second.id, third.id]
    assert set(np.floor(places(source)).astype(int)) == {2, 3}


def test_a_log_that_is_away_holds_no_rollout_up(
    replay: MemoryReplay, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    back = threading.Event()

    def away(self: MemoryReplay, *_: Any) -> Any:
        back.wait(30.0)
        raise ReplayUnavailable("gone")

    monkeypatch.setattr("agents.replay.looks._FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(MemoryReplay, "episodes_after", away)
    source = ReplayStarts(replay, run, StartsConfig())
    assert source.draw(np.random.default_rng(0), POSE).state is None
    back.set()
    assert source._looks._thread is not None
    source._looks._thread.join(5.0)
    assert "nothing new of starts: gone" in caplog.text
    monkeypatch.undo()
    store(replay.writer(RUN, "w"), 1, 1.0)
    source._looks._next_s = 0.0
    source.draw(np.random.default_rng(0), POSE)
    source._looks._thread.join(5.0)
    assert places(source, 3).shape == (3,)


def test_what_is_wrong_with_the_log_is_raised_in_the_rollout(
    replay: MemoryReplay, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: MemoryReplay, *_: Any) -> Any:
        raise RuntimeError("a fault")

    monkeypatch.setattr(MemoryReplay, "episodes_after", broken)
    source = ReplayStarts(replay, run, StartsConfig())
    with pytest.raises(RuntimeError, match="a fault"):
        [source.draw(np.random.default_rng(0), POSE) for _ in range(2)]


def test_a_run_without_shares_has_no_source(replay: MemoryReplay, run: Run) -> None:
    assert start_source(run, small_config(), replay) is None
    assert isinstance(start_source(run, configured(pushed_share=0.5), replay), Mixture)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pushed_share": 0.7, "replay_share": 0.4}, "each must be in 0..1, all together at most 1"),
        ({"pushed_share": -0.1}, "each must be in 0..1"),
        ({"push_m_per_s": [1.0, 0.5]}, "must be in order: lowest, highest"),
        ({"push_m_per_s": [0.0, float("inf")]}, "must be two speeds"),
        ({"replay": "worst"}, "'worst', it must be"),
        ({"replay_newest": 0}, "replay_newest=0 must be a whole number from 1"),
        ({"replay_newest": 5, "replay_episodes": 6}, "replay_episodes=6 must be at most replay_newest=5"),
        ({"replay_margin_s": -1.0}, "replay_margin_s=-1.0 must be at least 0"),
        ({"replay_refresh_s": 0.0}, "replay_refresh_s=0.0 must be positive"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        configured(**settings)


def test_settings_go_out_and_come_back() -> None:
    changed = {"pushed_share": 0.2, "push_m_per_s": [0.5, 1.0], "replay_share": 0.3, "replay": "any"}
    config = configured(**changed)
    assert RunConfig.of(config.plain()) == config
    assert {name: config.plain()["starts"][name] for name in changed} == changed


def test_a_worker_s_episodes_start_as_the_run_says_and_tell_how(replay: MemoryReplay, tmp_path: Path) -> None:
    config = configured(pushed_share=0.4, push_m_per_s=[0.5, 1.0], replay_share=0.4, replay_margin_s=0.0)
    run = open_run(replay, config)
    work = Rollouts(run, config, replay, None, quiet_telemetry(tmp_path, "w"), fake_environment)
    work.work(0, 1, lambda: False, lambda: work.episodes >= 40)
    kinds: dict[str, int] = {}
    for episode in replay.episodes_after(RUN, {}):
        kind = episode.start.start.get("kind", "default")
        kinds[kind] = kinds.get(kind, 0) + 1
        first = replay.timesteps(episode).state[0]
        assert first[-3] == 3.0
        if kind == "pushed":
            assert first[SPEED] == np.float32(episode.start.start["m_per_s"])
            assert 0.5 <= first[SPEED] <= 1.0
        assert episode.start.in_default_pose == (kind == "default") == (first[SPEED] == first[PLACE] == 0.0)
    assert kinds["pushed"] > 5
    assert verify(replay, RUN).problems.counts == {}


@pytest.mark.parametrize("bodies", [1, 4])
def test_the_native_body_s_worker_starts_elsewhere_and_its_episodes_can_be_simulated_again(
    replay: MemoryReplay, tmp_path: Path, bodies: int
) -> None:
    config = RunConfig.of(
        {
            "environment": {"max_steps": 30},
            "rollout": {"bodies": bodies},
            "starts": {"pushed_share": 0.5, "replay_share": 0.4, "replay_margin_s": 0.0, "replay_refresh_s": 0.01},
        }
    )
    run = create_run(RUN, config, replay)
    work = Rollouts(run, config, replay, None, quiet_telemetry(tmp_path, "w"))

    def enough() -> bool:
        found = [one for one in replay.episodes_after(RUN, {}) if one.start.start.get("kind") == "replay"]
        return work.episodes >= 20 and (len(found) >= 3 or work.episodes >= 400)

    work.work(0, 1, lambda: False, enough)
    episodes = [one for one in replay.episodes_after(RUN, {}) if one.ended != "aborted"]
    kinds = [episode.start.start.get("kind", "default") for episode in episodes]
    assert {"pushed", "replay"} <= set(kinds)
    again = build_resimulator(config, run, physics="native")
    for found in resimulate(replay, episodes, again, lambda: False):
        assert isinstance(found, Divergence), found
        assert found.com_largest_mm < 1e-3
        assert found.worst_relative < 1e-4
    again.close()
    assert verify(replay, RUN).problems.counts == {}


def test_an_episode_is_had_again_from_its_seed_and_its_source(replay: MemoryReplay) -> None:
    config = configured(pushed_share=1.0)
    run = create_run(RUN, RunConfig.of({"starts": config.plain()["starts"]}), replay)
    states = []
    for _ in range(2):
        environment = build_environment(RunConfig.of(run.config).environment, run)
        environment.starts = start_source(run, RunConfig.of(run.config), replay)
        environment.reset(seed=99)
        environment.step(np.zeros(19, np.float32))
        states.append(environment.state.tobytes())
        environment.close()
    assert states[0] == states[1]


def test_documents_of_before_there_were_starts_are_read_as_default_starts() -> None:
    old = start_document(EpisodeStart(seed=3, policy_version=2))
    assert old.pop("start") == {}
    assert start_of(old).in_default_pose
    pushed = EpisodeStart(seed=3, policy_version=2, start={"kind": "pushed", "m_per_s": np.float64(0.5)})
    assert start_of(start_document(pushed)).start == {"kind": "pushed", "m_per_s": 0.5}
    assert not pushed.in_default_pose
    assert EpisodeStart(seed=3, policy_version=2, start={"kind": "default", "refused": 10}).in_default_pose


def test_an_export_keeps_the_start_and_an_older_one_has_none(replay: MemoryReplay, run: Run) -> None:
    episode = store(replay.writer(RUN, "w"), 1, 1.0, start={"kind": "pushed", "m_per_s": 0.5})
    table = episodes_table([episode])
    assert table.schema == EPISODES
    assert episodes_of(table) == [episode]
    (older,) = episodes_of(table.drop_columns(["start"]))
    assert older.start.start == {}
