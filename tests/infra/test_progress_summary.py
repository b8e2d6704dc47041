"""What is told of a run while it goes and when it is over, against counts made independently."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
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
from agents.replay.runs import Run
from agents.round_returns import Means, means_of
from agents.scoring import Scorer
from agents.training import train_run
from infra.fleet.local import LocalFleet, ProcessSpec
from infra.live import View, one_line, totals
from infra.progress import Observer, Snapshot, evaluation_facts, first_use_s
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


@pytest.fixture
def replay() -> MemoryReplay:
    log = MemoryReplay()
    open_run(log, small_config())
    return log


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LocalFleet]:
    made = LocalFleet(tmp_path, os.environ)
    yield made
    made.stop(grace_s=0.0)


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
    assert look.counts.timesteps >= 300
    assert look.inserts_per_s == pytest.approx(look.counts.timesteps / 4.0)


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


def snapshot(replay: MemoryReplay, **changes: Any) -> Snapshot:
    values: dict[str, Any] = {
        "counts": replay.counts(RUN),
        "version": 0,
        "statuses": {},
        "inserts_per_s": 0.0,
        "evaluated": None,
    }
    return Snapshot(**(values | changes))


def test_totals_say_whether_the_run_still_explores(replay: MemoryReplay) -> None:
    assert "exploring, 1,000 wanted" in totals(snapshot(replay), 1000)["timesteps"]
    assert "exploring" not in totals(snapshot(replay), 0)["timesteps"]


def test_totals_say_how_the_learner_does_and_what_the_newest_score_is(replay: MemoryReplay) -> None:
    learner = {"updates": 1234, "updates_per_s": 56.0, "waited_s": 2.5, "running_s": 10.0}
    score = {"version": 3, "mean": 1500.0, "spread": 20.0, "fall_rate": 0.75, "physics": "native/default"}
    line = one_line(snapshot(replay, version=4, statuses={"learner": learner}, evaluated=score), 0)
    assert "updates 1,234 at 56/s" in line
    assert "learner waited 25%" in line
    assert "version 4" in line
    assert "evaluation version 3: 1,500 ± 20 on native, 75% fell" in line


def test_returns_are_means_of_recent_episodes_by_both_rounds_too_with_their_length_beside(replay: MemoryReplay) -> None:
    statuses = {
        f"worker-{n}": {"timesteps_per_s": 1.0, "recent": Means(count, value, steps, rounds).document()}
        for n, (count, value, steps, rounds) in enumerate(
            [
                (100, 60.0, 40.0, {"round1": -100.0, "round2": 300.0}),
                (50, 90.0, 70.0, {"round1": -160.0, "round2": 600.0}),
            ]
        )
    }
    line = one_line(snapshot(replay, statuses=statuses | {"worker-2": {"timesteps_per_s": 1.0, "recent": None}}), 0)
    assert ", returns 70 per episode of 50 steps (round 1: -120, round 2: 400), " in line
    assert totals(snapshot(replay), 0)["returns"] == "-"


def test_both_engines_scores_are_shown_and_whether_the_reference_agrees(
    replay: MemoryReplay, fleet: LocalFleet, tmp_path: Path
) -> None:
    here = {"spread": 0.0, "fall_rate": 1.0, "mean_length": 150.0, "reference": "opensim/x"}
    reference = here | {"mean": 1214.0, "physics": "opensim/x", "episodes": 3, "seeds": [11], "confirmed": True}
    facts: dict[str, Any] = here | {
        "version": 16, "mean": 1217.0, "physics": "native/y", "episodes": 10, "seeds": [11, 22],
    }  # fmt: skip
    newest = facts | {"version": 17, "mean": 1300.0, "confirmation": reference | {"mean": 900.0, "confirmed": False}}
    replay.event(RUN, "e", EVALUATED, **(facts | {"confirmation": reference}))
    line = one_line(snapshot(replay, evaluated=facts | {"confirmation": reference}), 0)
    assert "version 16: 1,217 ± 0 on native, 1,214 ± 0 on opensim, 100% fell" in line
    replay.event(RUN, "e", EVALUATED, **newest)
    line = one_line(snapshot(replay, evaluated=newest), 0)
    assert "version 17: 1,300 ± 0 on native, 900 ± 0 on opensim (not confirmed), 100% fell" in line
    assert "version 15: 800 ± 0 on native, 100% fell" in one_line(
        snapshot(replay, evaluated=facts | {"version": 15, "mean": 800.0, "confirmation": None}), 0
    )
    store = MemoryCheckpoints()
    found = summarise(RUN, replay, store, tmp_path, fleet, look_before(RUN, replay, store), 1.0)
    text = as_text(found)
    assert "best       version 16: 1,217 ± 0 on native over 10 seeds, 1,214 ± 0 on opensim over 3 seeds, 100%" in text
    assert "newest     version 17: 1,300 ± 0 on native over 10 seeds, 900 ± 0 on opensim over 3 seeds (not conf" in text


def test_a_view_that_is_no_terminal_prints_a_line_now_and_then(replay: MemoryReplay, fleet: LocalFleet) -> None:
    text = io.StringIO()
    with redirect_stdout(text):
        view = View(RUN, 2.0)
        with view:
            for _ in range(5):
                view.show(snapshot(replay, version=7), fleet, 1000)
            view.say("waiting: [not markup] a very long sentence " + "x" * 200)
    first, second = text.getvalue().splitlines()
    assert first.startswith("00:00/2 min  timesteps 0 (exploring, 1,000 wanted)")
    assert "version 7" in first
    assert second == "waiting: [not markup] a very long sentence " + "x" * 200


def test_a_view_in_a_terminal_shows_every_process(
    replay: MemoryReplay, fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    fleet.start(ProcessSpec("worker-0.here", ("-c", "import time; time.sleep(60)")))
    fleet.start(ProcessSpec("learner", ("-c", "import time; time.sleep(60)")))
    noise = {"kind": "ornstein_uhlenbeck", "sigma": 0.25}
    status = {"timesteps_per_s": 88.0, "last_return": 321.0, "last_ended": "fall", "exploration": noise}
    status["last_round_returns"] = {"round1": -4567.0, "round2": 987.0}
    text = io.StringIO()
    with redirect_stdout(text):
        view = View(RUN, None)
        with view:
            view.show(snapshot(replay, statuses={"worker-0.here": status}), fleet, 0)
    shown = text.getvalue()
    for word in (
        "worker-0.here",
        "learner",
        "running",
        "88",
        "321",
        "-4,567",
        "987",
        "fall",
        "ornstein_uhlenbeck 0.25",
    ):
        assert word in shown, word


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
