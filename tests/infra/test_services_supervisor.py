"""The supervisor as users meet it: a detached process, controlled through its files."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from infra.services.contract import ServiceFailed
from infra.services.control import (
    _supervisor_lives,
    down,
    ensure_up,
    keep_up,
    service_status,
    services_for_a_run,
)
from infra.services.ports import is_free
from infra.services.supervisor import STATE
from infra.settings import Settings, fill_in

pytestmark = [pytest.mark.mongo, pytest.mark.s3]


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    made = fill_in(tmp_path / ".env", {"DATA_DIR": str(tmp_path / "data"), "MONGOD_CACHE_GB": "0.25"})
    (tmp_path / "data").mkdir()
    yield made
    down(made)


def supervisor_pid(settings: Settings) -> int:
    return int(json.loads((settings.folder / STATE).read_text())["pid"])


def within(seconds: float, claim: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        if claim():
            return True
        time.sleep(0.05)
    return claim()


def ports_are_free(settings: Settings) -> bool:
    return is_free(settings.mongod_address()[0]) and is_free(settings.s3_port())


def pids(settings: Settings) -> dict[str, Any]:
    return {name: facts["pid"] for name, facts in service_status(settings).items()}


def test_a_life_of_the_services(settings: Settings) -> None:
    assert [facts["up"] for facts in service_status(settings).values()] == [False, False]
    with ThreadPoolExecutor(2) as both:
        assert sorted(both.map(ensure_up, [settings, settings])) == [False, True], "only one call starts them"
    assert ensure_up(settings) is False
    first = service_status(settings)
    assert [(facts["up"], facts["local"], facts["restarts"]) for facts in first.values()] == [(True, True, 0)] * 2

    for service in first.values():
        os.kill(service["pid"], signal.SIGKILL)
    assert within(60, lambda: [facts["restarts"] for facts in service_status(settings).values()] == [1, 1])
    assert within(60, lambda: all(facts["up"] for facts in service_status(settings).values()))
    assert set(pids(settings).values()).isdisjoint(facts["pid"] for facts in first.values())
    assert ensure_up(settings) is False
    client: MongoClient[dict[str, Any]] = MongoClient(settings.values["MONGODB_URI"], serverSelectionTimeoutMS=30_000)
    with client:
        assert client["data"]["things"].insert_one({"_id": 1}).acknowledged

    other = Settings(
        env_file=settings.env_file, values={**settings.values, "MONGOD_CACHE_GB": "0.5"}, local=settings.local
    )
    with pytest.raises(ServiceFailed, match=r"other settings.*infra down"):
        ensure_up(other)

    secrets = [settings.mongod_address()[2], settings.values["AWS_SECRET_ACCESS_KEY"]]
    written = "".join(path.read_text() for path in (settings.folder / "logs").iterdir())
    written += (settings.folder / STATE).read_text()
    assert not any(secret in written for secret in secrets)
    assert "is started again" in (settings.folder / "logs" / "services.log").read_text()

    assert down(settings) is True
    assert ports_are_free(settings)
    assert down(settings) is False
    assert "Shutting down" in (settings.folder / "logs" / "mongod.log").read_text().splitlines()[-1], "a clean stop"


def test_the_servers_end_with_a_killed_supervisor_and_start_again(settings: Settings) -> None:
    assert ensure_up(settings) is True
    before = pids(settings)
    killed = supervisor_pid(settings)
    os.kill(killed, signal.SIGKILL)
    assert within(60, lambda: not Path(f"/proc/{killed}/cmdline").exists())
    # At once: the servers of the killed one may still be writing their data.
    assert ensure_up(settings) is True
    after = pids(settings)
    assert set(before.values()).isdisjoint(after.values())
    assert within(60, lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in before.values()))


def test_a_failed_start_says_why_and_leaves_nothing_running(settings: Settings) -> None:
    wrong = Settings(env_file=settings.env_file, values={**settings.values, "S3_BUCKET": "x"}, local=settings.local)
    with pytest.raises(ServiceFailed, match=r"'x'.*S3_BUCKET"):
        ensure_up(wrong)
    # The ports are free a moment before the supervisor that held them has ended.
    assert within(60, lambda: ports_are_free(settings) and not _supervisor_lives(settings.folder))
    assert down(wrong) is False
    assert ensure_up(settings) is True, "and the next start works"


def test_services_of_others_are_not_started(tmp_path: Path) -> None:
    elsewhere = {
        "DATA_DIR": str(tmp_path / "data"),
        "MONGODB_URI": "mongodb://u:p@db.example:1/",
        "S3_BUCKET": "their-bucket",
    }
    settings = fill_in(tmp_path / ".env", elsewhere)
    assert ensure_up(settings) is False
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / ".env").exists()
    found = service_status(settings)
    assert [(name, facts["local"]) for name, facts in found.items()] == [("mongod", False), ("s3", False)]
    assert found["s3"]["up"], "AWS itself is not asked"


def test_services_stop_with_the_last_of_the_runs_that_use_them(settings: Settings) -> None:
    with services_for_a_run(settings):
        with services_for_a_run(settings):
            both_up = [facts["up"] for facts in service_status(settings).values()]
        assert both_up == [True, True]
        assert all(facts["up"] for facts in service_status(settings).values()), "the first run still needs them"
    assert ports_are_free(settings)


def test_services_that_were_started_to_stay_outlive_a_run(settings: Settings) -> None:
    with services_for_a_run(settings):
        assert ensure_up(settings) is False
        keep_up(settings)
    assert all(facts["up"] for facts in service_status(settings).values())
    with services_for_a_run(settings):
        before = pids(settings)
    assert pids(settings) == before
