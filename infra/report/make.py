"""Makes a run's report: everything in a folder of its own, which takes the old one's place when it is whole."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.checkpoints.contract import CheckpointCorrupt, CheckpointMissing, CheckpointStore
from agents.config import RunConfig, data_dir
from agents.gait.plot import headline
from agents.gait.plot import plot as plot_card
from agents.official.seeds import GRADER_SEEDS, held_out
from agents.official.verdict import verdict
from agents.policy import Policy
from agents.replay.backlog import is_experience
from agents.replay.contract import Replay
from environment.tasks import task
from infra.report import plot
from infra.report.curve import Curve, curve_of
from infra.report.origin import origin_of
from infra.report.page import Findings, page, spent, table
from infra.report.scores import HeldOut, score_held_out
from infra.report.timeline import Timeline
from infra.report.video import NoVideo, film

log = logging.getLogger(__name__)

_STEPS_PER_S = 6_000.0
"""That a core's thread of the native engine plays for a report, two integrations in turn; measured on a Xeon."""
_FRAMES_PER_S, _FRAMES_PER_STEP = 10.0, 0.3
"""Of the video, drawn without a graphics card."""
_LOADING_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """What a report is asked for."""

    run: str
    episodes: int = 50
    """Held-out seeds."""
    threads: int = 1
    """That simulate."""
    video: bool = True

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"--workers {self.threads} must be at least 1")
        held_out(self.episodes)


def folder_of(run: str) -> Path:
    """Where a run's report lies."""
    return data_dir() / "runs" / run / "report"


def make_report(
    options: ReportOptions, replay: Replay, store: CheckpointStore, stop: Callable[[], bool], say: Callable[[str], None]
) -> Path:
    """Makes the report and returns its page's path. `say` hears lines for people.

    Raises: ValueError when there is no such run; Stopped, and what was there before stays.
    """
    if options.run not in replay.runs():
        raise ValueError(f"there is no run {options.run!r}; there are {', '.join(replay.runs()) or 'none yet'}")
    run = replay.run(options.run)
    timeline = Timeline(replay.events(run.name))
    curve = curve_of(replay, run.name, timeline)
    version = None if curve is None else curve.best_version
    policy, missing = _policy(store, run.name, curve)
    if policy is not None:
        say(f"report of run {run.name}: {_expected(policy, options)}; Ctrl-C ends it")
    with _whole(folder_of(run.name)) as folder:
        if curve is not None:
            plot.plot(curve, folder / "curves.png", f"run {run.name}: {run.task}, learned for {run.reward}")
            _save(folder / "curves.json", {"run": run.name, "task": run.task} | curve.document())
        found = None
        if policy is not None:
            found = _score(run.config, policy, options, stop, folder)
        video = False
        if found is not None and version is not None and options.video:
            try:
                film(run.name, version, found.median_seed, folder / "walk.mp4", stop)
                video = True
            except NoVideo as error:
                missing.append(f"There is no video: {error}.")
        findings = Findings(
            run=run,
            origin=origin_of(run, timeline),
            timeline=timeline,
            totals=_totals(replay, run.name),
            curve=curve,
            version=version,
            held_out=found,
            missing=missing,
            video=video,
        )
        (folder / "report.md").write_text(page(findings))
        _save(folder / "report.json", _document(findings))
    for line in _lines(findings):
        say(line)
    return folder_of(run.name) / "report.md"


def _policy(store: CheckpointStore, run: str, curve: Curve | None) -> tuple[Policy | None, list[str]]:
    """The best version's, or why there is none."""
    if curve is None:
        return None, ["No version of this run has a score yet; `python -m infra report` tells more when one has."]
    if curve.best_version is None:
        return None, [f"None of the scores was confirmed on {curve.reference} yet, so no version is the best."]
    try:
        version, blob = store.load(run, "policy", curve.best_version)
    except (CheckpointMissing, CheckpointCorrupt) as error:
        return None, [f"Version {curve.best_version}, the best, can not be played: {error}."]
    return Policy.from_blob(blob, version=version.number), []


def _expected(policy: Policy, options: ReportOptions) -> str:
    """How long it takes, for a policy whose episodes last."""
    steps = task(policy.contract.task).time_limit_steps
    played_s = 2 * (options.episodes + len(GRADER_SEEDS)) * steps / (_STEPS_PER_S * options.threads)
    drawn_s = _FRAMES_PER_STEP * steps / _FRAMES_PER_S if options.video else 0.0
    minutes = (_LOADING_S + played_s + drawn_s) / 60
    return f"about {max(minutes, 0.5):.1g} min where the cores are free, longer where they are not"


def _score(config: Any, policy: Policy, options: ReportOptions, stop: Callable[[], bool], folder: Path) -> HeldOut:
    max_steps = RunConfig.of(config).environment.max_steps
    found = score_held_out(policy, options.episodes, max_steps, options.threads, stop)
    plot_card(found.card, folder / "gait.png", f"{options.run}, version {policy.version}: held-out seeds")
    _save(folder / "gait.json", found.card.document())
    _save(folder / "scores.json", found.document())
    return found


def _totals(replay: Replay, run: str) -> dict[str, int]:
    """Episodes and their control steps, those to learn from and those to score apart."""
    episodes, published = replay.episodes_after(run, {}), [one["details"] for one in replay.events(run, "published")]
    lengths = [episode.length for episode in episodes if is_experience(episode)]
    return {
        "timesteps": sum(lengths),
        "episodes": len(lengths),
        "scored_timesteps": sum(episode.length for episode in episodes) - sum(lengths),
        "updates": max((int(facts["updates"]) for facts in published), default=0),
        "versions": len(published),
    }


def _document(findings: Findings) -> dict[str, Any]:
    timeline, found = findings.timeline, findings.held_out
    return {
        "run": findings.run.name,
        "task": findings.run.task,
        "made": time.time(),
        "version": findings.version,
        "verdict": None if found is None else str(verdict(found.as_osim_rl)),
        "wall_s": timeline.wall_s(),
        "processor_s": timeline.processor_s(),
        "processor_s_by_role": timeline.by_role(),
        "totals": dict(findings.totals),
        "origin": findings.origin.document(),
        "missing": list(findings.missing),
    }


def _lines(findings: Findings) -> Iterator[str]:
    """For a terminal."""
    yield f"  spent      {spent(findings)}"
    for sentence in findings.missing:
        yield f"  missing    {sentence}"
    found = findings.held_out
    if found is None:
        return
    seeds = found.as_osim_rl.seeds
    yield f"  version {findings.version} on the native engine, held-out seeds {seeds[0]} to {seeds[-1]}"
    for label, *cells in table(found):
        yield (f"    {label:<38}" + "".join(f"{cell:>23}" for cell in cells)).rstrip()
    yield f"  gait       {headline(found.card)}"
    yield f"  verdict    {verdict(found.as_osim_rl)}"


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of `folder` when all went well, and is gone when it did not."""
    staged = folder.with_name(f".report-{secrets.token_hex(4)}")
    staged.mkdir(parents=True)
    try:
        yield staged
        old = staged.with_name(f"{staged.name}.old")
        if folder.exists():
            folder.rename(old)
        staged.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _save(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n")
