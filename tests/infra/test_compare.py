"""Runs side by side: figures within a budget, who may be compared with whom, and a recipe's ablations for real."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.checkpoints.memory import MemoryCheckpoints
from agents.config import load_config
from agents.connections import ROOT
from agents.plain import ConfigError
from agents.recipes import recipe_file
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.telemetry import Telemetry
from infra.compare import figures
from infra.compare.ablations import WHOLE, Ablation, read_variants
from infra.compare.command import compare
from infra.compare.groups import Group, curves_of
from infra.compare.plot import plot
from infra.fleet.local import LocalFleet
from infra.live import View
from infra.progress import Observer
from infra.report.curve import Curve, Point
from infra.run import RunOptions, _watch
from tests.clock import Clock
from tests.infra.test_run_watch import TimedFlag
from tests.runs import RUN, open_run, small_config


def point(version: int, mean: float, best: float | None = None, used_s: float | None = None) -> Point:
    """Version n was published after n minutes, 100 n updates and 1,000 n timesteps."""
    return Point(
        version=version,
        updates=100 * version,
        timesteps=1000 * version,
        wall_s=60.0 * version,
        processor_s=used_s,
        mean=mean,
        spread=1.0,
        worst=mean - 10,
        fall_rate=1.0 - mean / 10_000,
        confirmed=best,
        best=best,
    )


def curve(points: Sequence[Point]) -> Curve:
    return Curve(
        physics="fast",
        reference="tight",
        seeds=(1, 2),
        points=tuple(points),
        best_version=None,
        baselines={"standing": {"mean": 5000.0}},
    )


LONG = curve([point(version, 100.0 * version, 90.0 * version, 90.0 * version) for version in range(1, 21)])
SHORT = curve([point(1, 500.0), point(2, 700.0)])


def test_the_versions_of_the_budgets_last_tenth_count_together() -> None:
    found = figures.outcome(LONG, 1000)
    assert found is not None
    assert (found.score, found.versions) == (1000.0, 1), "of more than 900 and at most 1,000 updates"
    assert (found.best, found.updates, found.timesteps, found.wall_s, found.processor_s) == (
        900,
        1000,
        10_000,
        600,
        900,
    )
    found = figures.outcome(LONG, None)
    assert found is not None
    assert (found.score, found.versions) == ((1900 + 2000) / 2, 2)
    assert found.fall_rate == pytest.approx(0.805)


def test_a_run_without_a_version_at_the_end_of_the_budget_counts_with_its_last_one() -> None:
    found = figures.outcome(SHORT, 1000)
    assert found is not None
    assert (found.score, found.versions, found.updates, found.best) == (700.0, 1, 200, None)
    assert figures.outcome(SHORT, 99) is None


def test_a_run_beat_standing_at_its_first_confirmed_mean_above_that_of_a_body_that_stands() -> None:
    late = curve([point(1, 6000.0), point(2, 4000.0, 4000.0), point(3, 5600.0, 5500.0), point(4, 7000.0, 6500.0)])
    found = [figures.outcome(late, updates) for updates in (200, 300, None)]
    assert [one and one.beat_standing_at for one in found] == [None, 300, 300]
    unscored = figures.outcome(replace(late, baselines={}), None)
    assert unscored is not None
    assert unscored.beat_standing_at is None
    assert "300, 300" in figures.table({"a": [late, late]}, None).splitlines()[1]


def test_a_group_shows_each_run_their_mean_and_their_spread() -> None:
    other = replace(LONG, points=tuple(replace(one, mean=one.mean + 200.0) for one in LONG.points))
    lines = figures.table({"whole": [LONG, other], "short": [SHORT], "none": [curve([])]}, 1000).splitlines()
    assert [word.split() for word in lines[1:2]] == [
        ["whole", "2", "1,100", "±", "141", "1,000,", "1,200", "90%", "900,", "900", "-,", "-", "10", "0.25"]
    ]
    assert lines[2].split() == ["short", "1", "700", "700", "93%", "-", "-", "2", "-"]
    assert lines[3].split()[:4] == ["none", "0", "of", "1"]


def test_curves_come_from_reports_wherever_they_were_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = []
    for number, made in enumerate((LONG, SHORT)):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps({"run": "r", "task": "t"} | made.document()))
    groups = [Group.of(f"long={files[0]},{files[0]}"), Group.of(f"short={files[1]}")]
    assert curves_of(groups, None) == {"long": [LONG, LONG], "short": [SHORT]}
    compare(groups, 1000, tmp_path / "c.png", tmp_path / "c.json")
    assert capsys.readouterr().out.splitlines()[1].startswith("long")
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"
    saved = json.loads((tmp_path / "c.json").read_text())
    assert [one["score"] for one in saved["groups"]["long"]] == [1000.0, 1000.0]
    assert (saved["physics"], saved["reference"], saved["seeds"], saved["updates"]) == ("fast", "tight", [1, 2], 1000)


def test_later_versions_are_not_drawn(tmp_path: Path) -> None:
    plot({"long": [LONG]}, tmp_path / "whole.png", "t")
    plot({"long": [LONG]}, tmp_path / "cut.png", "t", updates=300)
    assert (tmp_path / "whole.png").read_bytes() != (tmp_path / "cut.png").read_bytes()
    assert [one.version for one in figures.within(LONG, 300)] == [1, 2, 3]


@pytest.mark.parametrize("other", [{"seeds": (1, 3)}, {"physics": "other"}, {"reference": "other"}])
def test_scores_of_other_seeds_or_physics_are_not_compared(tmp_path: Path, other: dict[str, Any]) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file, made in zip(files, (LONG, replace(LONG, **other)), strict=True):
        file.write_text(json.dumps(made.document()))
    with pytest.raises(ValueError, match="only scores of the same physics and seeds"):
        curves_of([Group.of(str(files[0])), Group.of(str(files[1]))], None)


def test_what_is_no_curve_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{}")
    for text, reason in (
        (f"a={tmp_path}/c.json", "no curves.json"),
        (f"a={tmp_path}/d.json", "there is no file"),
        ("a=there-is-none", "no run 'there-is-none'"),
    ):
        with pytest.raises(ValueError, match=reason):
            curves_of([Group.of(text)], MemoryReplay())
    replay = MemoryReplay()
    open_run(replay, small_config())
    with pytest.raises(ValueError, match="has no score yet"):
        curves_of([Group.of(RUN)], replay)
    with pytest.raises(ValueError, match="another name for each"):
        curves_of([Group.of(RUN), Group.of(RUN)], replay)
    for text in ("=a", "a=", "a,,b"):
        with pytest.raises(ValueError, match="no group of runs"):
            Group.of(text)


def test_every_ablation_of_every_recipe_is_a_run_that_can_be_and_differs_from_it() -> None:
    folder = recipe_file("walk").parent / "ablations"
    recipes = [file.stem for file in folder.glob("*.toml")]
    assert "walk" in recipes
    for recipe in recipes:
        whole, *others = Ablation(recipe=recipe, seeds=(1,), updates=10).variants()
        assert (whole.name, whole.settings) == (WHOLE, ())
        assert len(others) >= 4
        plain = [load_config(recipe_file(recipe), one.settings).plain() for one in (whole, *others)]
        assert all(plain.count(one) == 1 for one in plain)


def test_runs_come_seed_by_seed_and_are_named_after_variant_and_seed() -> None:
    asked = Ablation(recipe="walk", seeds=(1, 2), updates=10, only=("white-noise",), settings=("learner.threads=1",))
    runs = list(asked.runs())
    assert [one.name for one in runs] == ["walk.whole.1", "walk.white-noise.1", "walk.whole.2", "walk.white-noise.2"]
    assert all(one.updates == 10 and one.recipe == "walk" for one in runs)
    assert list(runs[3].new.settings) == ["exploration.kind=gaussian", "learner.threads=1", "learner.seed=2"]
    scored = {"walk.white-noise.1", "walk.whole.2"}
    assert asked.groups(scored.__contains__) == [
        Group("whole", ("walk.whole.2",)),
        Group("white-noise", ("walk.white-noise.1",)),
    ]


def test_senseless_ablations_are_refused() -> None:
    sensible: dict[str, Any] = {"recipe": "walk", "seeds": (1,), "updates": 10}
    for wrong in ({"seeds": ()}, {"seeds": (1, 1)}, {"updates": 0}, {"prefix": "a b"}):
        with pytest.raises(ValueError):
            Ablation(**(sensible | wrong))
    with pytest.raises(ConfigError, match=r"no ablation gravity; there are .*no-other-starts, white-noise"):
        Ablation(recipe="walk", seeds=(1,), updates=10, only=("gravity",)).variants()
    with pytest.raises(ConfigError, match="'imitate' has no ablations; walk has"):
        read_variants("imitate")


def test_a_run_ends_soon_after_its_updates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, replay, config = Clock(), MemoryReplay(), small_config()
    monkeypatch.setattr("infra.run.time", clock)
    open_run(replay, config)
    telemetry = Telemetry(tmp_path, "learner")

    class Learning(MemoryCheckpoints):
        looks = 0

        def latest(self, run: str) -> None:
            self.looks += 1
            telemetry.status(updates=10 * self.looks)

    observer = Observer(RUN, replay, Learning(), tmp_path)
    _watch(RunOptions(updates=30), config, LocalFleet(tmp_path, {}), observer, View(RUN, None), TimedFlag(clock))
    telemetry.close()
    assert observer.look().learner["updates"] == 40, "three looks until there were 30, and this one"


TINY = (
    "environment.max_steps=40",
    "rollout.bodies=2",
    "replay.explore_timesteps=150",
    "replay.write_batch=20",
    "learner.batch_size=32",
    "learner.publish_seconds=1.0",
    "evaluation.seeds=[11]",
    "evaluation.confirm_episodes=1",
)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.mongo
@pytest.mark.s3
def test_an_ablation_trains_what_is_missing_and_compares_all(real_log: MongoReplay, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "infra", "ablate", "--seeds", "1", "--updates", "40", "--only", "white-noise"]
    command += [part for setting in TINY for part in ("--set", setting)]
    command += ["--json", str(tmp_path / "a.json"), "--plot", str(tmp_path / "a.png")]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert first.returncode == 0, first.stdout + first.stderr
    assert sorted(real_log.runs()) == ["walk.white-noise.1", "walk.whole.1"]
    groups = json.loads((tmp_path / "a.json").read_text())["groups"]
    assert set(groups) == {"whole", "white-noise"}
    assert (tmp_path / "a.png").stat().st_size > 10_000
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert json.loads((tmp_path / "a.json").read_text())["groups"] == groups, "nothing was trained again"
    assert "collected" in first.stdout
    assert "collected" not in again.stdout
