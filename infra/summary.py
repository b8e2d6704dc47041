"""What a run did, as one JSON document and a few lines for people. Counts are read from the stores after everything
has stopped, so that anyone who counts later finds the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.analysis import newest
from agents.checkpoints.contract import CheckpointCorrupt, CheckpointMissing, CheckpointStore, Version
from agents.confirmation import scores_text
from agents.replay.backlog import is_experience
from agents.replay.contract import Replay
from agents.replay.runs import Counts
from agents.round_returns import RECENT, Means, means_of
from agents.telemetry import read_statuses
from infra.fleet.local import LocalFleet
from infra.progress import evaluation_facts, first_use_s


@dataclass(frozen=True, slots=True)
class Before:
    """What a run had when the session began."""

    counts: Counts
    version: int
    """Newest checkpoint; 0 if none."""
    updates: int
    """Of that checkpoint."""


def newest_version(store: CheckpointStore, run: str) -> Version | None:
    """The newest checkpoint, whatever became of the pointer: a damaged one is for the learner to mend."""
    try:
        return store.latest(run)
    except (CheckpointCorrupt, CheckpointMissing):
        versions = store.versions(run)
        return versions[-1] if versions else None


def look_before(run: str, replay: Replay, store: CheckpointStore) -> Before:
    """Counts of now."""
    version = newest_version(store, run)
    updates = int(version.metadata["updates"]) if version else 0
    return Before(replay.counts(run), version.number if version else 0, updates)


def summarise(
    run: str, replay: Replay, store: CheckpointStore, folder: Path, fleet: LocalFleet, before: Before, seconds: float
) -> dict[str, Any]:
    """Totals of the run, and what this session added (`…_here`) since `before`."""
    stored, counts, episodes = replay.run(run), replay.counts(run), replay.episodes_after(run, {})
    recent = means_of(newest([episode for episode in episodes if is_experience(episode)], RECENT))
    # The folder may also hold the last words of processes of an earlier session.
    statuses = {name: status for name, status in read_statuses(folder).items() if name in fleet.children}
    learner = statuses.get("learner", {})
    published = [event["details"]["version"] for event in replay.events(run, "published")]
    versions = store.versions(run)
    updates = int(learner.get("updates", before.updates))
    here_s = max(seconds, 1e-9)
    return {
        "run": run,
        "task": stored.task,
        "physics": stored.physics,
        "code_version": stored.code_version,
        "seconds": seconds,
        "resumed_from_version": before.version or None,
        "collections": {
            "runs": counts.runs,
            "episodes": counts.episodes,
            "timesteps": counts.timesteps,
            "events": counts.events,
        },
        "timesteps": counts.timesteps,
        "timesteps_here": counts.timesteps - before.counts.timesteps,
        "episodes": counts.episodes,
        "episodes_here": counts.episodes - before.counts.episodes,
        "aborted": counts.aborted,
        "updates": updates,
        "updates_here": updates - before.updates,
        "versions_published": len(published),
        "versions_kept": [version.number for version in versions],
        "latest_version": versions[-1].number if versions else 0,
        "versions_acted_with": sorted({episode.start.policy_version for episode in episodes}),
        "recent": recent and recent.document(),
        "evaluation": evaluation_facts(replay, run),
        "rates": {
            "timesteps_per_s": (counts.timesteps - before.counts.timesteps) / here_s,
            "updates_per_s": (updates - before.updates) / here_s,
            "worker_timesteps_per_s": {
                name: status["timesteps_per_s"] for name, status in statuses.items() if "timesteps_per_s" in status
            },
        },
        "workers_waited_s": sum(status["waited_s"] for status in statuses.values() if "timesteps_per_s" in status),
        "workers_waited_for_learner_s": sum(status.get("waited_for_learner_s", 0.0) for status in statuses.values()),
        "first_use_s": first_use_s(replay, run),
        "publish_blocked_ms": learner.get("publish_longest_blocked_ms", 0.0),
        "rollbacks": len(replay.events(run, "rolled_back")),
        "sampled": {name: value for name, value in learner.get("metrics", {}).items() if name.startswith("sample/")},
        "learner_waited_s": learner.get("waited_s", 0.0),
        "learner_running_s": learner.get("running_s", 0.0),
        "restarts": {name: child.restarts for name, child in fleet.children.items()},
        "peak_memory_mb": {name: round(child.peak_memory_mb, 1) for name, child in fleet.children.items()},
    }


def save(summary: Mapping[str, Any], path: Path) -> None:
    """Writes the JSON; a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(path.name + ".part")
    staged.write_text(json.dumps(summary, indent=2) + "\n")
    staged.replace(path)


def as_text(summary: Mapping[str, Any]) -> str:
    """The summary for people."""
    collections, rates, evaluation = summary["collections"], summary["rates"], summary["evaluation"]
    resumed = summary["resumed_from_version"]
    lines = [
        f"run {summary['run']} ({summary['task']}, {summary['physics']}): {summary['seconds']:.0f} s"
        + (f", resumed from version {resumed}" if resumed else ""),
        f"  collected  {summary['timesteps']:,} timesteps in {summary['episodes']:,} episodes, "
        f"{summary['aborted']} aborted"
        f" (here {summary['timesteps_here']:,} in {summary['episodes_here']:,}, {rates['timesteps_per_s']:.0f}/s)",
        f"  learned    {summary['updates']:,} updates (here {summary['updates_here']:,}), "
        f"waited {summary['learner_waited_s']:.0f} of {summary['learner_running_s']:.0f} s for timesteps; "
        f"workers waited {summary['workers_waited_s']:.1f} s for the database, "
        f"{summary['workers_waited_for_learner_s']:.0f} s for the learner",
        f"  published  {summary['versions_published']} versions, newest {summary['latest_version']}, "
        f"acted with {_span(summary['versions_acted_with'])}{_staleness(summary)}",
        f"  documents  {', '.join(f'{count:,} {name}' for name, count in collections.items())}",
        f"  memory     {', '.join(f'{name} {peak:.0f} MiB' for name, peak in summary['peak_memory_mb'].items())}",
    ]
    if summary["recent"]:
        recent = Means(**summary["recent"])
        lines.insert(3, f"  returns    {recent.text()}, mean of the newest {recent.episodes} that acted for training")
    for name in ("newest", "best"):
        if evaluation[name]:
            lines.append(f"  {name:<10} version {evaluation[name]['version']}: {_score(evaluation[name])}")
    for name in ("random", "standing", "blind_walking"):
        if evaluation["baselines"]:
            ideal = "" if name == "random" else " (ideal)"
            lines.append(f"  {name:<10}{ideal} {_score(evaluation['baselines'][name])}")
    return "\n".join(lines)


def _staleness(summary: Mapping[str, Any]) -> str:
    """How soon versions are used, what they cost the learner, and how old what it samples is."""
    first_use, sampled = summary["first_use_s"], summary["sampled"]
    words = [f"; the learner stood still for {summary['publish_blocked_ms']:.0f} ms at most"]
    if first_use is not None:
        words.append(f"used {first_use:.2f} s after (median)")
    if "sample/age_versions_p50" in sampled:
        p50, p95 = (sampled[f"sample/age_versions_p{percent}"] for percent in (50, 95))
        words.append(f"sampled {p50:.0f} versions old (95th percentile {p95:.0f})")
    if summary["rollbacks"]:
        words.append(f"rollbacks {summary['rollbacks']}")
    return ", ".join(words)


def _score(facts: Mapping[str, Any]) -> str:
    scores = scores_text(facts, seeds=True)
    return f"{scores}, {100 * facts['fall_rate']:.0f}% fell, {facts['mean_length']:.0f} steps"


def _span(versions: list[int]) -> str:
    return f"{len(versions)} versions, {versions[0]} to {versions[-1]}" if versions else "none"
