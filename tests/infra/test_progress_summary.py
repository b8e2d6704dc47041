"""What is told of a run while it goes and when it is over, against counts made independently."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from pymongo import MongoClient

from agents.checkpoints.contract import CheckpointStore
from agents.checkpoints.memory import MemoryCheckpoints, MemoryObjects
from agents.checkpoints.s3 import S3Checkpoints
from agents.checkpoints.store import VersionedCheckpoints
from agents.config import RunConfig
from agents.evaluator import BASELINES, EVALUATED
from agents.policy import Policy
from agents.replay.contract import Replay
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Episode, Run
from agents.round_returns import means_of
from agents.scoring import Scorer
from agents.training import train_run
from infra.fleet.local import LocalFleet, ProcessSpec
from infra.progress import Observer, evaluation_facts, first_use_s
from infra.summary import Before, as_text, look_before, newest_version, save, summarise
from tests.clock import Clock
from tests.contracts.checkpoint_samples import learner_blob, policy_blob
from tests.runs import RUN, explore, fake_environment, open_run, quiet_telemetry, small_config

SEEDS = (11, 22, 33)


def evaluated(
    replay: MemoryReplay, version: int, mean: float, *, physics: str = "fast", seeds: tuple[int, ...] = SEEDS
) -> None:
    facts = {"spread": 1.0, "fall_rate": 0.5, "mean_length": 10.0, "episodes": len(seeds)}
    replay.event(RUN, "e", EVALUATED, version=version, mean=mean, physics=physics, seeds=list(seeds), **facts)


def noted_baselines(
    replay: MemoryReplay, random: float, *, physics: str = "fast", seeds: tuple[int, ...] = SEEDS
) -> None:
    scores = {
        name: {"mean": random + n, "seeds": list(seeds)}
        for n, name in enumerate(("random", "standing", "blind_walking"))
    }
    replay.event(RUN, "e", BASELINES, physics=physics, **scores)


def train(run: Run, config: RunConfig, replay: Replay, store: CheckpointStore, folder: Path, versions: int = 1) -> int:
    """Trains as the learner process does, until the run has so many versions; returns the updates."""
    telemetry = quiet_telemetry(folder, "learner")
    given_up_s = time.monotonic() + 120

    def stop() -> bool:
        assert time.monotonic() < given_up_s, "too few versions were published"
        latest = store.latest(RUN)
        return latest is not None and latest.number >= versions

    updates = train_run(run, config, replay, store, telemetry, stop).updates
    telemetry.close()
    return updates


def evaluate(run: Run, config: RunConfig, replay: Replay, store: CheckpointStore, folder: Path) -> int:
    """Scores the newest version and the baselines; returns its number."""
    version, blob = store.load(RUN, "policy")
    telemetry = quiet_telemetry(folder, "evaluator")
    scorer = Scorer(run, config, replay, telemetry, lambda: False, fake_environment(config.environment))
    scorer.baselines(SEEDS)
    scorer.evaluate(Policy.from_blob(blob, version=version.number), SEEDS)
    return version.number


def test_the_best_is_the_best_of_scores_that_can_be_compared_with_the_newest(replay: MemoryReplay) -> None:
    assert evaluation_facts(replay, RUN) == {"evaluations": 0, "newest": None, "best": None, "baselines": None}
    evaluated(replay, 1, 9_999.0, physics="official")
    evaluated(replay, 2, 5_000.0, seeds=(1, 2))
    evaluated(replay, 3, 300.0)
    evaluated(replay, 4, 100.0)
    facts = evaluation_facts(replay, RUN)
    assert facts["evaluations"] == 4
    assert (facts["newest"]["version"], facts["best"]["version"]) == (4, 3)


def test_the_baselines_shown_are_those_on_the_seeds_of_the_newest_score(replay: MemoryReplay) -> None:
    noted_baselines(replay, 10.0)
    assert evaluation_facts(replay, RUN)["baselines"]["random"]["mean"] == 10.0
    evaluated(replay, 1, 100.0)
    noted_baselines(replay, 70.0, physics="official")
    noted_baselines(replay, 80.0, seeds=(1, 2))
    assert evaluation_facts(replay, RUN)["baselines"]["random"]["mean"] == 10.0
    evaluated(replay, 1, 100.0, physics="official")
    assert evaluation_facts(replay, RUN)["baselines"]["random"]["mean"] == 70.0
    evaluated(replay, 1, 100.0, seeds=(4,))
    assert evaluation_facts(replay, RUN)["baselines"] is None


def test_insert_rate_is_that_of_what_reached_the_database(
    replay: MemoryReplay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, config = Clock(), small_config()
    monkeypatch.setattr("infra.progress.time", clock)
    observer = Observer(RUN, replay, MemoryCheckpoints(), tmp_path)
    first = observer.look()
    assert (first.inserts_per_s, first.version, first.evaluated) == (0.0, 0, None)
    explore(replay, config, replay.run(RUN), 300)
    clock.sleep(4.0)
    look = observer.look()
    assert look.timesteps >= 300
    assert look.inserts_per_s == pytest.approx(look.timesteps / 4.0)


def test_looks_count_everything_once(replay: MemoryReplay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def episodes_after(run: str, marks: Mapping[int, int]) -> Sequence[Episode]:
        found = MemoryReplay.episodes_after(replay, run, marks)
        read.append(len(found))
        return found

    monkeypatch.setattr(replay, "episodes_after", episodes_after)
    observer, config, run = Observer(RUN, replay, MemoryCheckpoints(), tmp_path), small_config(), replay.run(RUN)
    for worker in ("a", "b"):
        explore(replay, config, run, 200, worker)
        look, counts = observer.look(), replay.counts(RUN)
        assert (look.timesteps, look.episodes) == (counts.timesteps, counts.episodes)
    assert min(read) > 0
    assert sum(read) == replay.counts(RUN).episodes


def test_statuses_are_told_by_process(replay: MemoryReplay, tmp_path: Path) -> None:
    quiet_telemetry(tmp_path, "learner").status(updates=5)
    quiet_telemetry(tmp_path, "worker-0").status(timesteps_per_s=80.0)
    look = Observer(RUN, replay, MemoryCheckpoints(), tmp_path).look()
    assert look.learner["updates"] == 5
    assert set(look.workers) == {"worker-0"}


@pytest.fixture
def real_replay(mongodb_uri: str, database_name: str) -> Iterator[MongoReplay]:
    with closing(MongoReplay(mongodb_uri, database_name)) as log:
        yield log


@pytest.fixture
def real_store(s3_bucket: str) -> Iterator[S3Checkpoints]:
    with closing(S3Checkpoints(s3_bucket)) as store:
        yield store


@pytest.mark.mongo
@pytest.mark.s3
def test_a_summary_counts_what_an_independent_reader_counts(
    real_replay: MongoReplay,
    real_store: S3Checkpoints,
    mongodb_uri: str,
    database_name: str,
    s3_bucket: str,
    fleet: LocalFleet,
    tmp_path: Path,
) -> None:
    replay, store, config = real_replay, real_store, small_config(keep_versions=2)
    run, other = open_run(replay, config), open_run(replay, config, "other")
    explore(replay, config, other, 200, worker="elsewhere")
    explore(replay, config, run, 250)
    before = look_before(RUN, replay, store)
    assert (before.version, before.updates, before.counts.episodes) == (0, 0, len(replay.episodes_after(RUN, {})))
    first = explore(replay, config, run, 250, worker="v")
    fleet.start(ProcessSpec("learner", ("-c", "pass")))
    updates = train(run, config, replay, store, tmp_path, versions=4)
    newest = evaluate(run, config, replay, store, tmp_path)
    found = summarise(RUN, replay, store, tmp_path, fleet, before, 2.0)

    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        data = client[database_name]
        ids = [episode["_id"] for episode in data.episodes.find({"run": RUN})]
        assert found["collections"] == {
            "runs": data.runs.count_documents({"_id": RUN}),
            "episodes": data.episodes.count_documents({"run": RUN}),
            "timesteps": data.timesteps.count_documents({"episode": {"$in": ids}}),
            "events": data.events.count_documents({"run": RUN}),
        }
        assert data.timesteps.count_documents({}) > found["timesteps"], "another run's are not counted"
        published = data.events.count_documents({"run": RUN, "kind": "published"})
    with closing(boto3.session.Session().client("s3")) as client:
        listed = client.list_objects_v2(Bucket=s3_bucket, Prefix=f"runs/{RUN}/versions/")
    kept = sorted({int(entry["Key"].split("/")[3]) for entry in listed["Contents"]})
    assert found["versions_kept"] == kept
    assert found["latest_version"] == kept[-1] == newest
    assert found["versions_published"] == published > len(kept)
    assert found["updates"] == found["updates_here"] == updates
    played = [e for e in replay.episodes_after(RUN, {}) if e.start.purpose == "evaluate"]
    here = sum(episode.length + 1 for episode in (*first, *played))
    assert found["timesteps_here"] == here
    assert found["rates"]["timesteps_per_s"] == here / 2.0
    assert found["versions_acted_with"] == [0, newest]
    assert found["evaluation"]["newest"]["version"] == newest
    assert found["resumed_from_version"] is None
    collected = [e for e in replay.episodes_after(RUN, {}) if e.start.purpose != "evaluate"]
    recent = means_of(collected)
    assert recent is not None
    assert found["recent"]["episodes"] == len(collected) > len(first), "evaluations are none of them"
    assert f"\n  returns    {recent.text()}, mean of the newest {len(collected)} that acted for" in as_text(found)


def test_processes_of_an_earlier_session_do_not_speak_for_this_one(
    replay: MemoryReplay, fleet: LocalFleet, tmp_path: Path
) -> None:
    quiet_telemetry(tmp_path, "worker-9").status(timesteps_per_s=1_000_000.0, waited_s=9.0)
    fleet.start(ProcessSpec("worker-0", ("-c", "import time; time.sleep(60)")))
    quiet_telemetry(tmp_path, "worker-0").status(timesteps_per_s=50.0, waited_s=1.0)
    store = MemoryCheckpoints()
    found = summarise(RUN, replay, store, tmp_path, fleet, look_before(RUN, replay, store), 1.0)
    assert found["rates"]["worker_timesteps_per_s"] == {"worker-0": 50.0}
    assert set(found["peak_memory_mb"]) == set(found["restarts"]) == {"worker-0"}


def test_a_second_session_tells_what_it_added(replay: MemoryReplay, fleet: LocalFleet, tmp_path: Path) -> None:
    store, config = MemoryCheckpoints(), small_config()
    run = replay.run(RUN)
    explore(replay, config, run, 400)
    updates = train(run, config, replay, store, tmp_path)
    before = look_before(RUN, replay, store)
    versions = store.versions(RUN)
    assert before == Before(replay.counts(RUN), versions[-1].number, updates)
    fleet.start(ProcessSpec("learner", ("-c", "pass")))
    quiet_telemetry(tmp_path, "learner").status(updates=updates + 7)
    found = summarise(RUN, replay, store, tmp_path, fleet, before, 1.0)
    assert (found["updates_here"], found["timesteps_here"]) == (7, 0)
    assert found["resumed_from_version"] == versions[-1].number
    assert f"resumed from version {versions[-1].number}" in as_text(found)


def test_the_text_holds_what_people_need(replay: MemoryReplay, fleet: LocalFleet, tmp_path: Path) -> None:
    store, config = MemoryCheckpoints(), small_config()
    run = replay.run(RUN)
    before = look_before(RUN, replay, store)
    explore(replay, config, run, 400)
    train(run, config, replay, store, tmp_path)
    newest = evaluate(run, config, replay, store, tmp_path)
    found = summarise(RUN, replay, store, tmp_path, fleet, before, 10.0)
    text = as_text(found)
    counts = replay.counts(RUN)
    assert f"{counts.timesteps:,} timesteps in {counts.episodes:,} episodes, 0 aborted" in text
    assert f"newest {newest}, acted with 2 versions, 0 to {newest}" in text
    assert f"{counts.runs:,} runs" in text
    assert f"{counts.events:,} events" in text
    (score,) = (event["details"] for event in replay.events(RUN, EVALUATED))
    assert f"version {newest}: {score['mean']:,.0f} ± {score['spread']:,.0f} on fake over 3 seeds" in text
    for name in ("random", "standing", "blind_walking"):
        assert name in text
    assert text.count("(ideal)") == 2
    json.dumps(found)


def test_the_text_of_a_run_that_never_learned_is_short(replay: MemoryReplay, fleet: LocalFleet, tmp_path: Path) -> None:
    store = MemoryCheckpoints()
    found = summarise(RUN, replay, store, tmp_path, fleet, look_before(RUN, replay, store), 1.0)
    text = as_text(found)
    assert "0 versions, newest 0, acted with none" in text
    assert "random" not in text


def test_a_summary_is_saved_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "summary.json"
    save({"a": [1]}, path)
    save({"a": [1, 2]}, path)
    assert json.loads(path.read_text()) == {"a": [1, 2]}
    assert [found.name for found in path.parent.iterdir()] == ["summary.json"]


def test_a_damaged_pointer_does_not_hide_the_newest_version() -> None:
    objects = MemoryObjects()
    store = VersionedCheckpoints(objects)
    assert newest_version(store, "run") is None
    version = store.publish("run", policy_blob(1), learner_blob(1), {"updates": 1})
    objects.put("runs/run/latest.json", b"junk")
    assert newest_version(store, "run") == version


def test_the_time_to_first_use_is_the_median_of_changes_of_policy(replay: MemoryReplay) -> None:
    assert first_use_s(replay, RUN) is None
    replay.event(RUN, "w0", "policy_refreshed", version=9, before=0, age_s=5_000.0)
    assert first_use_s(replay, RUN) is None, "a worker that starts takes what is there, however old"
    for worker, age_s in (("w0", 0.2), ("w1", 9.0), ("w1", 0.4)):
        replay.event(RUN, worker, "policy_refreshed", version=10, before=9, age_s=age_s)
    assert first_use_s(replay, RUN) == 0.4


def test_the_text_tells_how_fresh_policies_and_samples_are(
    replay: MemoryReplay, fleet: LocalFleet, tmp_path: Path
) -> None:
    store = MemoryCheckpoints()
    fleet.start(ProcessSpec("learner", ("-c", "pass")))
    metrics = {"sample/age_versions_p50": 3.0, "sample/age_versions_p95": 17.0, "critic/loss": 1.0}
    quiet_telemetry(tmp_path, "learner").status(publish_longest_blocked_ms=12.4, metrics=metrics)
    replay.event(RUN, "w0", "policy_refreshed", version=2, before=1, age_s=0.34)
    replay.event(RUN, "learner", "rolled_back", version=1, updates=5, reason="diverged")
    found = summarise(RUN, replay, store, tmp_path, fleet, look_before(RUN, replay, store), 1.0)
    assert found["sampled"] == {"sample/age_versions_p50": 3.0, "sample/age_versions_p95": 17.0}
    text = as_text(found)
    for words in (
        "stood still for 12 ms at most",
        "used 0.34 s after (median)",
        "sampled 3 versions old (95th percentile 17)",
        "rollbacks 1",
    ):
        assert words in text
