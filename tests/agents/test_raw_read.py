"""The server's replies taken apart by hand: as pymongo reads them, whatever the documents are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bson
import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from agents.replay.raw_read import documents_between


@pytest.fixture
def collection(mongodb_uri: str, database_name: str) -> Iterator[Collection[dict[str, Any]]]:
    client: MongoClient[dict[str, Any]]
    with MongoClient(mongodb_uri) as client:
        yield client[database_name]["things"]


def read(collection: Collection[dict[str, Any]], first: int, last: int, at_a_time: int) -> list[dict[str, Any]]:
    with collection.database.client.start_session() as session:
        return bson.decode_all(documents_between(collection, session, first, last, at_a_time=at_a_time).tobytes())


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 100, 101, 1_001, 2_345])
@pytest.mark.parametrize("at_a_time", [7, 1_000, 4_000])
def test_documents_of_one_width_come_whole_and_in_order(
    collection: Collection[dict[str, Any]], count: int, at_a_time: int
) -> None:
    things = [{"_id": number, "value": float(number), "name": "x" * 20} for number in range(count)]
    if things:
        collection.insert_many(things[::-1])
    assert read(collection, 0, 10_000, at_a_time) == things
    assert read(collection, 3, 12, at_a_time) == things[3:13]


def test_documents_of_many_widths_come_whole_and_in_order(collection: Collection[dict[str, Any]]) -> None:
    things = [{"_id": number, "value": "y" * (number * 7 % 90)} for number in range(700)]
    collection.insert_many(things)
    assert read(collection, 0, 10_000, 300) == things


def test_one_odd_document_among_many_alike_is_not_lost(collection: Collection[dict[str, Any]]) -> None:
    things: list[dict[str, Any]] = [{"_id": number, "value": number / 3} for number in range(150)]
    for odd in (0, 5, 9, 10, 99, 100, 149):
        things[odd]["more"] = "z" * odd
    collection.insert_many(things)
    assert read(collection, 0, 10_000, 4_000) == things


def test_what_the_server_refuses_is_raised(collection: Collection[dict[str, Any]]) -> None:
    collection.insert_one({"_id": 1})
    with pytest.raises(OperationFailure):
        read(collection, 0, 10, -5)
