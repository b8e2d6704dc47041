"""Damage of every kind is found and named, and a run without damage is called good."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from agents.replay.data.findings import KINDS, Problems, Verdict
from agents.replay.data.verify import verify
from agents.replay.documents import Document, episode_document
from agents.replay.ids import timestep_id
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Episode, EpisodeStart
from tests.contracts.replay_samples import sample_episode, sample_run, write_episode
from tests.replay_runs import command, fill, stored_row
from tests.runs import RUN


@pytest.fixture
def replay() -> MemoryReplay:
    found = MemoryReplay()
    fill(found)
    return found


@pytest.fixture
def episode(replay: MemoryReplay) -> Episode:
    """The second of the first worker."""
    return replay.episodes_after(RUN, {})[1]


def found(replay: MemoryReplay, **options: Any) -> dict[str, int]:
    """Kinds of damage, and how often."""
    return verify(replay, RUN, **options).problems.counts


def replace(replay: MemoryReplay, episode: Episode, **changes: Any) -> None:
    """Another document in the place of the episode's."""
    replay._episodes[episode.id] = episode_document(dataclasses.replace(episode, **changes))


def test_a_run_without_damage_is_good(replay: MemoryReplay) -> None:
    verdict = verify(replay, RUN)
    counts = replay.counts(RUN)
    assert verdict.good
    assert verdict.not_judged is None
    assert (verdict.episodes, verdict.timesteps) == (counts.episodes, counts.timesteps)
    assert "nothing wrong" in verdict.text()


@pytest.mark.parametrize("page", [1, 7, 61, 100_000])
def test_how_much_is_read_at_a_time_changes_nothing(replay: MemoryReplay, episode: Episode, page: int) -> None:
    stored_row(replay, episode.id, 4)["state"][0, 0] = np.nan
    replay.delete_timesteps([timestep_id(replay.episodes_after(RUN, {})[-1].id, 3)])
    verdict = verify(replay, RUN, page=page)
    assert verdict.problems.counts["gap"] == 1
    assert verdict.problems.counts["value"] >= 1
    assert verdict.timesteps == replay.counts(RUN).timesteps


def test_missing_timesteps_are_a_gap(replay: MemoryReplay, episode: Episode) -> None:
    replay.delete_timesteps([timestep_id(episode.id, step) for step in (2, 3, episode.length)])
    verdict = verify(replay, RUN)
    assert verdict.problems.counts == {"gap": 3}
    (problem,) = verdict.problems.examples
    assert (problem.episode, problem.step) == (episode.id, 2)
    assert f"needed {episode.length + 1}" in problem.text


def test_a_document_without_timesteps_is_found(replay: MemoryReplay, episode: Episode) -> None:
    replay.delete_between(timestep_id(episode.id, 0), timestep_id(episode.id, episode.length))
    assert found(replay) == {"no_timesteps": 1}


def test_timesteps_without_a_document_are_found(replay: MemoryReplay, episode: Episode) -> None:
    replay.delete_episodes([episode.id])
    assert found(replay) == {"no_episode": 1}


def test_an_episode_that_is_being_written_is_no_damage(replay: MemoryReplay) -> None:
    writer = replay.writer(RUN, "c", batch=1)
    steps = fake_steps(replay)
    open_episode = writer.begin(EpisodeStart(seed=1, policy_version=0), steps[0])
    for step in steps[1:]:
        writer.add(step)
    verdict = verify(replay, RUN)
    assert verdict.good
    assert verdict.unfinished == [open_episode]


def fake_steps(replay: MemoryReplay) -> list[Any]:
    sizes = replay.run(RUN)
    return sample_episode(3, 4, state_size=len(sizes.state_names), action_size=len(sizes.action_names))


def test_an_episode_that_ends_during_the_walk_is_no_damage(
    replay: MemoryReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = replay.writer(RUN, "c", batch=1)
    looked = replay.last_timestep

    def ends_first(number: int) -> int | None:
        if not replay.has_episode(open_episode):
            writer.end(ended="fall", reward_terms={"all": sum(step.reward for step in steps)}, step_ms_mean=1.0)
        return looked(number)

    steps = fake_steps(replay)
    open_episode = writer.begin(EpisodeStart(seed=1, policy_version=0), steps[0])
    for step in steps[1:]:
        writer.add(step)
    monkeypatch.setattr(replay, "last_timestep", ends_first)
    verdict = verify(replay, RUN)
    assert replay.has_episode(open_episode)
    assert verdict.good
    assert verdict.unfinished == []


def test_what_a_late_write_left_is_found(replay: MemoryReplay, episode: Episode) -> None:
    row = replay.rows([episode])[-1:].copy()
    late = stored_row(replay, episode.id, episode.length)
    copied = np.frombuffer(bytearray(late.tobytes()), dtype=late.dtype)
    copied["_id"], copied["step"] = row["_id"] + 1, episode.length + 1
    replay.insert_timesteps(copied, again=False)
    assert found(replay) == {"beyond_end": 1}


def test_a_timestep_that_says_it_is_another_one_is_a_duplicate(replay: MemoryReplay, episode: Episode) -> None:
    stored_row(replay, episode.id, 3)["step"] = 2
    assert found(replay)["duplicate"] == 1


def test_a_timestep_that_says_it_is_of_no_known_step_is_misnumbered(replay: MemoryReplay, episode: Episode) -> None:
    stored_row(replay, episode.id, 3)["step"] = 3 + (1 << 12)
    assert found(replay)["misnumbered"] == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("state", value) for value in (np.nan, np.inf)),
        *(("action", value) for value in (1.5, -0.5, np.nan)),
        *(("policy_action", value) for value in (1.1, -1.1, np.nan)),
        *(("reward", value) for value in (np.nan, 1e6)),
    ],
)
def test_values_that_can_not_be_are_found(replay: MemoryReplay, episode: Episode, column: str, value: float) -> None:
    stored_row(replay, episode.id, 4)[column] = value
    verdict = verify(replay, RUN)
    assert verdict.problems.counts["value"] >= 1
    assert {(one.episode, one.step) for one in verdict.problems.examples if one.kind == "value"} == {(episode.id, 4)}


@pytest.mark.parametrize(
    ("column", "value"), [("decision", True), ("reward", 1.0), ("action", 0.5), ("policy_action", 0.5)]
)
def test_a_reset_timestep_has_to_be_bare(replay: MemoryReplay, episode: Episode, column: str, value: float) -> None:
    stored_row(replay, episode.id, 0)[column] = value
    verdict = verify(replay, RUN)
    assert "value" in verdict.problems.counts
    assert all(one.step <= 0 for one in verdict.problems.examples)


def test_an_episode_has_to_begin_with_a_decision(replay: MemoryReplay, episode: Episode) -> None:
    stored_row(replay, episode.id, 1)["decision"] = False
    assert found(replay) == {"value": 1}


@pytest.mark.parametrize("step", [0, 3])
def test_nothing_follows_the_end_of_an_episode(replay: MemoryReplay, episode: Episode, step: int) -> None:
    stored_row(replay, episode.id, step)["truncated"] = True
    assert found(replay) == {"value": 1}


def test_a_document_that_disagrees_with_its_timesteps_is_found(replay: MemoryReplay, episode: Episode) -> None:
    replace(replay, episode, episode_return=episode.episode_return + 0.1)
    assert found(replay) == {"document": 2}, "the sum of the rewards, and that of the terms"
    rounds = episode.round_returns
    replace(replay, episode, round_returns=dict(rounds) | {"round2": rounds["round2"] + 0.1})
    assert found(replay) == {"document": 1}
    replace(replay, episode, terminated=not episode.terminated)
    assert found(replay) == {"document": 1}
    replace(replay, episode, truncated=not episode.truncated)
    assert found(replay) == {"document": 1}
    replace(replay, episode, length=episode.length + 1)
    assert found(replay) == {"gap": 1}
    replace(replay, episode, length=episode.length - 1)
    assert found(replay)["beyond_end"] == 1
    replace(replay, episode, writer=episode.writer + 1)
    assert found(replay) == {"document": 1}
    replace(replay, episode)
    assert found(replay) == {}


def test_timesteps_of_a_writer_that_never_started_are_found(replay: MemoryReplay) -> None:
    writer = replay.episodes_after(RUN, {})[-1].writer
    replay._events = [event for event in replay._events if event.get("writer") != writer]
    verdict = verify(replay, RUN)
    assert verdict.problems.counts == {"unknown_writer": 1}
    assert verdict.timesteps > replay.counts(RUN).timesteps, "they are looked at all the same"


def test_another_runs_writers_are_not_unknown_ones(replay: MemoryReplay) -> None:
    fill(replay, "another")
    assert verify(replay, RUN).good
    assert verify(replay, "another").good


def test_a_run_whose_values_nobody_can_judge_is_checked_for_the_rest() -> None:
    replay = MemoryReplay()
    replay.open_run(sample_run())
    writer = replay.writer("run", "w")
    episodes = [write_episode(writer, sample_episode(seed, 9)) for seed in range(3)]
    verdict = verify(replay, "run")
    assert verdict.good
    assert verdict.not_judged is not None
    assert "not judged" in verdict.text()
    stored_row(replay, episodes[0].id, 5)["reward"] += 1.0
    replay.delete_timesteps([timestep_id(episodes[1].id, 5)])
    assert verify(replay, "run").problems.counts == {"document": 1, "gap": 1}


def test_of_a_million_problems_a_few_are_shown_and_all_counted() -> None:
    problems = Problems()
    for step in range(1000):
        problems.add("value", 1, "wrong", step=step)
    problems.add("gap", 1, "missing", times=7)
    verdict = Verdict("r", 1, 1000, [], None, problems, 1.0)
    assert problems.counts == {"value": 1000, "gap": 7}
    assert len(verdict.text().splitlines()) < 12
    plain = json.loads(json.dumps(verdict.document()))
    assert plain["problems"]["value"]["count"] == 1000
    assert not plain["good"]
    with pytest.raises(KeyError):
        problems.add("weather", 1, "rain")
    assert set(problems.counts) <= set(KINDS)


@pytest.fixture
def database(mongodb_uri: str, database_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MongoReplay]:
    monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("MONGODB_DATABASE", database_name)
    monkeypatch.setenv("S3_BUCKET", "unused")
    replay = MongoReplay(mongodb_uri, database_name)
    fill(replay)
    yield replay
    replay.close()


@pytest.mark.mongo
def test_what_is_edited_by_hand_in_mongodb_is_found(
    database: MongoReplay, mongodb_uri: str, database_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command("verify", "--run", RUN)
    assert "nothing wrong" in capsys.readouterr().out
    episodes = database.episodes_after(RUN, {})
    client: MongoClient[Document]
    with MongoClient(mongodb_uri) as client:
        timesteps: Collection[Document] = client[database_name]["timesteps"]
        timesteps.update_one({"episode": episodes[0].id, "step": 3}, {"$set": {"reward": "a lot"}})
        timesteps.update_one({"episode": episodes[1].id, "step": 3}, {"$set": {"note": "look at this"}})
        timesteps.delete_one({"episode": episodes[2].id, "step": 5})
    with pytest.raises(ValueError, match="is damaged"):
        command("verify", "--run", RUN, "--json")
    plain = json.loads(capsys.readouterr().out)
    assert {kind: one["count"] for kind, one in plain["problems"].items()} == {"malformed": 2, "gap": 3}
    gaps = [(one["episode"], one["step"]) for one in plain["problems"]["gap"]["examples"]]
    assert gaps == [(episodes[0].id, 3), (episodes[1].id, 3), (episodes[2].id, 5)]
    assert plain["timesteps"] == database.counts(RUN).timesteps
