"""What people type in Compass or mongosh: flat documents that can be filtered, sorted and read by any driver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from bson.binary import Binary
from pymongo import ASCENDING, DESCENDING, MongoClient
from pymongo.database import Database

from agents.replay.documents import Document
from agents.replay.ids import timestep_id
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Episode
from tests.replay_runs import fill
from tests.runs import RUN

pytestmark = pytest.mark.mongo


@pytest.fixture
def replay(mongodb_uri: str, database_name: str) -> Iterator[MongoReplay]:
    found = MongoReplay(mongodb_uri, database_name)
    fill(found)
    fill(found, "other", timesteps=100)
    yield found
    found.close()


@pytest.fixture
def data(replay: MongoReplay, mongodb_uri: str, database_name: str) -> Iterator[Database[Document]]:
    """The database as another program sees it."""
    client: MongoClient[Document]
    with MongoClient(mongodb_uri, tz_aware=True) as client:
        yield client[database_name]


@pytest.fixture
def episodes(replay: MongoReplay) -> list[Episode]:
    return list(replay.episodes_after(RUN, {}))


def plan(data: Database[Document], collection: str, **find: Any) -> Mapping[str, Any]:
    """What the server did for a query: names of its stages, documents looked at."""
    query = {"find": collection, **find}
    told = data.command("explain", query, verbosity="executionStats")
    stages, stage = [], told["queryPlanner"]["winningPlan"]
    while stage:
        stages.append(stage["stage"])
        stage = stage.get("inputStage")
    return {"stages": stages, "looked_at": told["executionStats"]["totalDocsExamined"]}


def test_a_runs_episodes_are_found_by_what_a_person_asks_for(data: Database[Document], episodes: list[Episode]) -> None:
    returns = sorted(episode.episode_return for episode in episodes)
    low, high = returns[2], returns[-3]  # the two workers played the same seeds
    reason = episodes[0].ended
    collection = data["episodes"]
    assert collection.count_documents({"run": RUN}) == len(episodes)
    ended = {document["_id"] for document in collection.find({"run": RUN, "ended": reason})}
    assert ended == {episode.id for episode in episodes if episode.ended == reason}
    between = collection.find({"run": RUN, "return": {"$gte": low, "$lte": high}})
    assert sorted(document["return"] for document in between) == returns[2:-2]
    best = collection.find({"run": RUN}).sort("return", DESCENDING).limit(3)
    assert [document["return"] for document in best] == returns[::-1][:3]
    worker = collection.find({"run": RUN, "worker": "a", "purpose": "explore"})
    assert {document["_id"] for document in worker} == {one.id for one in episodes if one.worker == "a"}
    newest = collection.find({"run": RUN}).sort("finished", DESCENDING).limit(1)
    assert next(newest)["finished"] == max(episode.finished for episode in episodes)


def test_an_episodes_timesteps_are_found_by_their_ids_and_read_as_vectors(
    data: Database[Document], replay: MongoReplay, episodes: list[Episode]
) -> None:
    episode = episodes[1]
    ids = {"$gte": timestep_id(episode.id, 0), "$lt": timestep_id(episode.id + 1, 0)}
    found = list(data["timesteps"].find({"_id": ids}).sort("_id", ASCENDING))
    stored = replay.timesteps(episode)
    assert [document["step"] for document in found] == list(range(episode.length + 1))
    for row, document in enumerate(found):
        for name, column in (("state", stored.state), ("action", stored.excitation)):
            assert isinstance(document[name], Binary)
            vector = document[name].as_vector()
            np.testing.assert_array_equal(np.array(vector.data, np.float32), column[row])
    (one,) = data["timesteps"].find({"_id": timestep_id(episode.id, 3), "run": RUN})
    assert (one["episode"], one["step"], one["reward"]) == (episode.id, 3, stored.reward[3])


def test_what_happened_to_a_run_is_in_its_events_in_order(data: Database[Document], replay: MongoReplay) -> None:
    replay.event(RUN, "a", "published", version=3)
    found = list(data["events"].find({"run": RUN}).sort("time", ASCENDING))
    assert [event["kind"] for event in found] == ["worker_started", "worker_started", "published"]


@pytest.mark.parametrize(
    "query",
    [
        {"filter": {"run": RUN}},
        {"filter": {"run": RUN, "ended": "fall"}},
        {"filter": {"run": RUN, "return": {"$gte": 100, "$lte": 500}}},
        {"filter": {"run": RUN}, "sort": {"return": -1}, "limit": 10},
        {"filter": {"run": RUN}, "sort": {"finished": -1}, "limit": 10},
        {"filter": {"run": RUN, "writer": 1}},
    ],
)
def test_queries_of_a_runs_episodes_look_at_no_other_runs(
    data: Database[Document], episodes: list[Episode], query: dict[str, Any]
) -> None:
    told = plan(data, "episodes", **query)
    assert "COLLSCAN" not in told["stages"]
    assert told["looked_at"] <= len(episodes) < data["episodes"].count_documents({})


@pytest.mark.parametrize("by", ["finished", "return"])
def test_the_newest_and_the_best_episodes_need_no_sorting(data: Database[Document], by: str) -> None:
    told = plan(data, "episodes", filter={"run": RUN}, sort={by: -1}, limit=2)
    assert "SORT" not in told["stages"]
    assert told["looked_at"] == 2


def test_an_episodes_timesteps_are_the_only_ones_looked_at(data: Database[Document], episodes: list[Episode]) -> None:
    episode = episodes[1]
    ids = {"$gte": timestep_id(episode.id, 0), "$lt": timestep_id(episode.id + 1, 0)}
    told = plan(data, "timesteps", filter={"_id": ids}, sort={"_id": 1})
    assert "COLLSCAN" not in told["stages"]
    assert told["looked_at"] == episode.length + 1
