"""A run's report: from a stored run to a folder that can be read on its own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.baselines import Score
from agents.build import describe_run
from agents.checkpoints.contract import Blob
from agents.checkpoints.memory import MemoryCheckpoints
from agents.config import RunConfig, load_config
from agents.confirmation import Evaluation
from agents.evaluator import BASELINES, EVALUATED, Stopped
from agents.recipes import recipe_file
from agents.replay.memory import MemoryReplay
from agents.replay.runs import EpisodeStart, Purpose
from environment.prosthetics import ProstheticsEnv
from infra.report.curve import curve_of
from infra.report.make import ReportOptions, folder_of, make_report
from infra.report.origin import differences, origin_of
from infra.report.timeline import Timeline
from infra.report.video import NoVideo, film
from infra.session import STARTED, STOPPED, USED
from tests.bodied import body_policy
from tests.contracts.replay_samples import later_step, reset_step

RUN = "report"
NOON = 1_795_000_000.0
SEEDS = (2001, 2002)
CONFIG: Mapping[str, Any] = {
    "environment": {"max_steps": 120},
    "evaluation": {"seeds": list(SEEDS)},
    "learner": {"seed": 5},
}


def note(replay: MemoryReplay, when_s: float, kind: str, **details: Any) -> None:
    time = datetime.fromtimestamp(NOON + when_s, UTC)
    replay.insert_event({"run": RUN, "process": "p", "kind": kind, "time": time, "details": details})


def scored(replay: MemoryReplay, version: int, returns: tuple[float, ...], confirmed: float | None = None) -> None:
    """A version that was published `version` minutes after noon."""
    score = Score(SEEDS, returns, (100,) * len(returns), tuple(one < 5000 for one in returns))
    again = None if confirmed is None else replace(score, returns=(confirmed,) * len(returns))
    note(replay, 60 * version, "published", version=version, updates=10 * version, timesteps=1000 * version)
    note(replay, 60 * version + 20, EVALUATED, version=version, **Evaluation(score, "fast", "tight", again).facts())


def played(replay: MemoryReplay, steps: int, purpose: Purpose) -> None:
    """An episode that was stopped after so many steps."""
    run, writer, random = replay.run(RUN), replay.writer(RUN, purpose), np.random.default_rng(0)
    size: dict[str, Any] = {"state_size": len(run.state_names), "action_size": len(run.action_names)}
    writer.begin(EpisodeStart(seed=1, policy_version=1, purpose=purpose), reset_step(random, **size))
    for step in range(1, steps + 1):
        writer.add(later_step(random, step, **size))
    writer.abort()


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryReplay:
    """A run of the real body with three scored versions, the second of which is the best."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    log, config = MemoryReplay(), RunConfig.of(CONFIG)
    environment = ProstheticsEnv(config.environment)
    log.open_run(describe_run(RUN, config, environment))
    environment.close()
    here = {"command": "python -m infra run --run report", "code_version": "1.0+abc", "processor": "Q", "cores": 2}
    note(log, 0, STARTED, session="s", recipe=None, **here)
    facts = {name: Score(SEEDS, (mean,) * 2, (9, 9), (True, True)).facts() for name, mean in (("random", 500.0),)}
    ideal = {
        name: Score(SEEDS, (8000.0,) * 2, (9, 9), (False, False)).facts() for name in ("standing", "blind_walking")
    }
    note(log, 5, BASELINES, physics="fast", **facts, **ideal)
    played(log, 25, "train")
    played(log, 40, "evaluate")
    scored(log, 1, (1000.0, 1100.0), confirmed=900.0)
    scored(log, 2, (9000.0, 4000.0), confirmed=6000.0)
    scored(log, 3, (3000.0, 2000.0))
    note(log, 240, USED, session="s", seconds={"learner": 200.0, "worker-0": 160.0})
    note(log, 240, STOPPED, session="s")
    return log


@pytest.fixture
def store() -> MemoryCheckpoints:
    made = MemoryCheckpoints()
    for seed in range(3):
        made.publish(RUN, body_policy(seed).to_blob(), Blob({}, {}), {"updates": 10, "timesteps": 1000})
    return made


def made(replay: MemoryReplay, store: MemoryCheckpoints, **options: Any) -> tuple[Path, list[str]]:
    said: list[str] = []
    asked = ReportOptions(run=RUN, **({"episodes": 2, "video": False} | options))
    page = make_report(asked, replay, store, lambda: False, said.append)
    return page, said


def test_a_report_has_scores_curves_a_gait_card_and_a_page_whose_links_lead_somewhere(
    replay: MemoryReplay, store: MemoryCheckpoints
) -> None:
    page, said = made(replay, store)
    text, folder = page.read_text(), page.parent
    assert folder == folder_of(RUN)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert set(links) == {"curves.png", "curves.json", "gait.png"}
    for name in links:
        assert (folder / name).stat().st_size > 500
    assert "## Version 2 on 2 held-out seeds" in text
    assert "4.0 min wall-clock" in text
    assert "0.1 core-hours" in text
    assert "python -m agents evaluate --official --run report --version best" in text
    assert "seeds 1001 to 1002; the version was trained on none of them, nor chosen by them" in text
    assert said[0].startswith("report of run report: about ")
    assert any("verdict" in line for line in said)
    scores = json.loads((folder / "scores.json").read_text())
    assert set(scores["figures"]) == {"policy", "tight", "standing", "blind_walking", "random"}
    assert scores["figures"]["standing"]["fall_rate"] == 0.0
    assert scores["figures"]["policy"]["mean"] == pytest.approx(scores["figures"]["tight"]["mean"], rel=0.2)
    assert scores["seeds"] == [1001, 1002]
    whole = json.loads((folder / "report.json").read_text())
    assert (whole["version"], whole["wall_s"], whole["processor_s"]) == (2, 240.0, 360.0)
    assert whole["totals"] == {
        "timesteps": 25,
        "episodes": 1,
        "scored_timesteps": 40,
        "updates": 30,
        "versions": 3,
    }
    assert [path.name for path in folder.parent.iterdir()] == ["report"], "nothing half-made is left"


def test_the_curve_places_every_version_and_keeps_the_best_so_far(replay: MemoryReplay) -> None:
    curve = curve_of(replay, RUN, Timeline(replay.events(RUN)))
    assert curve is not None
    assert [(p.version, p.updates, p.timesteps, p.wall_s, p.processor_s) for p in curve.points] == [
        (1, 10, 1000, 60.0, 90.0),
        (2, 20, 2000, 120.0, 180.0),
        (3, 30, 3000, 180.0, 270.0),
    ]
    assert [(p.mean, p.worst, p.fall_rate, p.confirmed, p.best) for p in curve.points] == [
        (1050.0, 1000.0, 1.0, 900.0, 900.0),
        (6500.0, 4000.0, 0.5, 6000.0, 6000.0),
        (2500.0, 2000.0, 1.0, None, 6000.0),
    ]
    assert curve.best_version == 2
    assert {name: facts["mean"] for name, facts in curve.baselines.items()} == {
        "random": 500.0,
        "standing": 8000.0,
        "blind_walking": 8000.0,
    }


def test_a_score_that_was_made_by_hand_on_other_seeds_is_no_part_of_the_curve(replay: MemoryReplay) -> None:
    other = Evaluation(Score((7,), (9999.0,), (9,), (False,)), "fast", "fast").facts()
    note(replay, 300, EVALUATED, version=3, **other)
    curve = curve_of(replay, RUN, Timeline(replay.events(RUN)))
    assert curve is not None
    assert curve.seeds == SEEDS
    assert curve.best_version == 2


def test_a_run_without_a_score_says_so_and_is_no_error(replay: MemoryReplay, store: MemoryCheckpoints) -> None:
    config = RunConfig.of(CONFIG)
    environment = ProstheticsEnv(config.environment)
    replay.open_run(describe_run("young", config, environment))
    environment.close()
    said: list[str] = []
    page = make_report(ReportOptions(run="young"), replay, store, lambda: False, said.append)
    assert "No version of this run has a score yet" in page.read_text()
    assert sorted(path.name for path in page.parent.iterdir()) == ["report.json", "report.md"]
    assert any("No version" in line for line in said)


def test_a_best_version_that_is_gone_leaves_the_curve(replay: MemoryReplay) -> None:
    page, _ = made(replay, MemoryCheckpoints())
    assert "Version 2, the best, can not be played" in page.read_text()
    assert (page.parent / "curves.png").is_file()
    assert not (page.parent / "scores.json").exists()


def test_an_old_report_stays_when_a_new_one_is_stopped_and_goes_when_it_is_whole(
    replay: MemoryReplay, store: MemoryCheckpoints
) -> None:
    folder = folder_of(RUN)
    folder.mkdir(parents=True)
    (folder / "walk.mp4").write_bytes(b"old")
    asked = ReportOptions(run=RUN, episodes=2, video=False)
    with pytest.raises(Stopped):
        make_report(asked, replay, store, lambda: True, lambda line: None)
    assert [path.name for path in folder.iterdir()] == ["walk.mp4"]
    assert [path.name for path in folder.parent.iterdir()] == ["report"]
    made(replay, store)
    assert not (folder / "walk.mp4").exists(), "a picture of another version would be shown beside new scores"


def test_seeds_that_the_version_was_chosen_by_are_told(replay: MemoryReplay, store: MemoryCheckpoints) -> None:
    note(replay, 400, EVALUATED, version=3, **Evaluation(Score((11,), (1.0,), (9,), (True,)), "f", "f").facts())
    for _ in range(4):
        note(replay, 401, EVALUATED, version=3, **Evaluation(Score((11,), (1.0,), (9,), (True,)), "f", "f").facts())
    page, _ = made(replay, store)
    assert "but chosen by [11] among others" in page.read_text()


@pytest.mark.parametrize("wrong", [{"episodes": 0}, {"threads": 0}, {"episodes": 1001}])
def test_senseless_wishes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"episodes were asked for|must be at least 1"):
        ReportOptions(run=RUN, **wrong)


def test_an_unknown_run_is_named_with_those_that_exist(replay: MemoryReplay, store: MemoryCheckpoints) -> None:
    with pytest.raises(ValueError, match="there is no run 'other'; there are report"):
        make_report(ReportOptions(run="other"), replay, store, lambda: False, lambda line: None)


def test_a_run_is_told_by_the_recipe_and_what_differs_from_it(replay: MemoryReplay) -> None:
    config = load_config(recipe_file("walk"), ["learner.seed=3", 'algorithm.settings.precision="bfloat16"'])
    run = replace(replay.run(RUN), config=config.plain())
    found = origin_of(run, Timeline(replay.events(RUN)))
    assert found.recipe == "walk"
    assert sorted(found.settings) == ['algorithm.settings.precision="bfloat16"', "learner.seed=3"]
    assert load_config(recipe_file("walk"), found.settings) == config, "the settings lead back to the run"
    assert found.commands == ["python -m infra run --run report"]
    assert found.machines == ["Q, 2 cores"]
    assert found.code_versions[1:] == ["1.0+abc"]
    assert origin_of(replay.run(RUN), Timeline([])).recipe is None


def test_a_recipe_that_waits_for_a_motion_is_told_with_the_motion(replay: MemoryReplay) -> None:
    config = load_config(recipe_file("imitate"), ['starts.motions=["stride.csv"]'])
    run = replace(replay.run(RUN), config=config.plain())
    found = origin_of(run, Timeline([]))
    assert found.recipe == "imitate"
    assert load_config(recipe_file("imitate"), found.settings) == config


def test_a_setting_that_is_gone_is_told_with_its_whole_table() -> None:
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}) == ['a={"b": 1}']
    assert differences({"a": {}}, {"a": {"b": 1}}) == ["a.b=1"]
    assert differences({"a": 1}, {"a": 1}) == []


def test_a_video_that_can_not_be_drawn_is_told_in_one_line(tmp_path: Path) -> None:
    os.environ["DATA_DIR"] = str(tmp_path)
    with pytest.raises(NoVideo, match=r"^(?!watch).*MONGODB_URI"):
        film(RUN, 1, 11, tmp_path / "walk.mp4", lambda: False)


def test_a_video_is_given_up_when_asked_to(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        film(RUN, 1, 11, tmp_path / "walk.mp4", lambda: True)
    assert not (tmp_path / "walk.mp4").exists()
