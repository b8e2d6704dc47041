"""`--starts` and `--motion`, and runs whose episodes start in motions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agents.build import build_resimulator, create_run
from agents.config import RunConfig
from agents.new_run import NewRun
from agents.plain import ConfigError
from agents.replay.data.verify import verify
from agents.replay.memory import MemoryReplay
from agents.resimulation import Divergence, resimulate
from agents.starts_config import StartsConfig
from agents.starts_options import DEFAULT_SHARE
from agents.worker import Rollouts
from environment.motions.motion import MotionRefused
from tests.agents.test_new_run import asked
from tests.motions import columns, write_csv
from tests.runs import RUN, quiet_telemetry


def starts(*arguments: str) -> StartsConfig:
    return asked(*arguments).configuration("new", MemoryReplay()).starts


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((), StartsConfig()),
        (("--starts", "replay:best"), StartsConfig(replay_share=DEFAULT_SHARE)),
        (("--starts", "replay:any=0.25"), StartsConfig(replay_share=0.25, replay="any")),
        (("--starts", "replay=0.1", "--starts", "pushed=0.3"), StartsConfig(replay_share=0.1, pushed_share=0.3)),
        (("--starts", "pushed", "--set", "starts.push_m_per_s=[0.5,1]"), StartsConfig(
            pushed_share=DEFAULT_SHARE, push_m_per_s=(0.5, 1.0)
        )),
    ],
)  # fmt: skip
def test_short_forms_are_settings(arguments: tuple[str, ...], wanted: StartsConfig) -> None:
    assert starts(*arguments) == wanted


@pytest.mark.parametrize("share", ["", "=0.35"])
def test_motions_are_kept_by_paths_that_do_not_depend_on_the_working_folder(
    share: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b=2.csv"):
        (tmp_path / name).touch()
    found = starts("--motion", "a.csv", f"b=2.csv{share}")
    assert found.motions == (str(tmp_path / "a.csv"), str(tmp_path / "b=2.csv"))
    assert found.motion_share == (0.35 if share else DEFAULT_SHARE)
    arguments = asked("--motion", "a.csv", f"b=2.csv{share}").arguments()
    monkeypatch.chdir("/")
    assert starts(*arguments) == found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--starts", "replay:worst"), "--starts replay:worst: needed pushed, replay:best, replay:recent, replay:any"),
        (("--starts", "jump"), "--starts jump: needed pushed"),
        (("--starts", "replay=much"), "'much' is no share of the episodes"),
        (("--motion", "walk.csv=much"), "'much' is no share of the episodes"),
        (("--starts", "replay:best=1.5"), "each must be in 0..1"),
        (("--starts", "replay=0.2", "--starts", "replay:any=0.3"), "both ask for starts.replay_share; leave one out"),
        (("--starts", "replay:any", "--set", "starts.replay=best"), "leave out --set starts.replay=best"),
        (("--motion", "walk.csv", "--set", 'starts={"pushed_share":0.1}'), "is short for --set starts.motions="),
    ],
)
def test_what_can_not_be_meant_is_refused(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("{", r"\{").replace(".", r"\.")):
        starts(*arguments)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"motion_share": 0.2}, "do not fit: a share needs files"),
        ({"motions": ["walk.csv"]}, "files need a share"),
        ({"motion_share": 0.2, "motions": ["walk.csv"], "motion_slow_share": 1.5}, "motion_slow_share=1.5 must be"),
        ({"motion_share": 0.7, "motions": ["walk.csv"], "pushed_share": 0.5}, "all together at most 1"),
    ],
)
def test_motion_settings_that_make_no_sense_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        RunConfig.of({"starts": settings})


def test_a_run_is_not_made_with_a_motion_that_is_none_of_its_body(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "arm.csv", {"elbow_flexion": np.zeros(5)})
    config = RunConfig.of({"starts": {"motion_share": 0.5, "motions": [str(path)]}})
    replay = MemoryReplay()
    with pytest.raises(MotionRefused, match="has no coordinate of this model; found columns elbow_flexion"):
        create_run(RUN, config, replay)
    assert replay.runs() == []


@pytest.mark.parametrize("bodies", [1, 3])
def test_a_worker_starts_in_the_states_of_a_motion_and_its_episodes_can_be_simulated_again(
    bodies: int, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "walk.csv", columns())
    plain = {
        "environment": {"max_steps": 20},
        "rollout": {"bodies": bodies},
        "starts": {"motion_share": 0.7, "motions": [str(path)]},
    }
    config, replay = RunConfig.of(plain), MemoryReplay()
    run = create_run(RUN, config, replay)
    work = Rollouts(run, config, replay, None, quiet_telemetry(tmp_path, "w"))
    work.work(0, 1, lambda: False, lambda: work.episodes >= 12)
    episodes = [one for one in replay.episodes_after(RUN, {}) if one.ended != "aborted"]
    started = [episode.start.start for episode in episodes if not episode.start.in_default_pose]
    assert len(started) >= 4
    assert {(how["kind"], how["motion"]) for how in started} == {("motion", "walk")}
    assert len({how["time_s"] for how in started}) > 2
    again = build_resimulator(config, run, physics="native")
    for found in resimulate(replay, episodes, again, lambda: False):
        assert isinstance(found, Divergence), found
        assert found.com_largest_mm < 1e-3
    again.close()
    assert verify(replay, RUN).problems.counts == {}


def test_the_new_run_s_settings_survive_being_passed_on(tmp_path: Path) -> None:
    new = asked("--starts", "replay:any=0.2", "--starts", "pushed=0.1", "--motion", str(tmp_path / "walk.csv=0.3"))
    again = asked(*new.arguments())
    assert isinstance(again, NewRun)
    configuration = again.configuration("new", MemoryReplay())
    assert configuration.starts.motions == (str(tmp_path / "walk.csv"),)
    assert configuration == RunConfig.of(json.loads(json.dumps(configuration.plain())))
