"""The fault suite: every scenario, short; and that its counts would tell if something were lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.replay.mongo import MongoReplay
from infra.__main__ import main
from infra.faults import report
from infra.faults.audit import Audit, audit
from infra.faults.crew import ROOT, ScenarioFailed, wait_until
from infra.faults.marks import Mark
from infra.faults.network import Line
from infra.faults.outcome import Outcome, failed, table
from infra.faults.reader import empty_mirror
from infra.faults.report import SCENARIOS, row_of
from infra.faults.scenarios.sizes import QUICK, Sizes
from infra.faults.server import DATABASE
from infra.faults.stage import Stage, played, stage

Damage = Callable[[Any], None]


@pytest.mark.mongo
@pytest.mark.s3
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "cut-reset" else name for name in SCENARIOS]
)
def test_nothing_is_lost_when(name: str) -> None:
    row = row_of(name, QUICK)
    assert row["passes"], table([row])
    assert row["written"] == row["found"] > 0


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One worker's episodes, to be damaged."""
    with stage(tmp_path_factory.mktemp("stage") / "here") as found:
        found.crew.start("w", episodes=9).finish()
        yield found


class TestTheCounts:
    pytestmark = pytest.mark.mongo

    @pytest.fixture
    def clean(self, here: Stage) -> Audit:
        found = audit(here.server, here.crew, played())
        assert found.clean
        return found

    def test_all_of_an_undamaged_run_is_found(self, here: Stage, clean: Audit) -> None:
        (life,) = here.crew.lives
        written = here.crew.ids(life, Mark.HANDED)
        with here.server.client() as client:
            assert client[DATABASE]["timesteps"].distinct("_id") == written
        assert clean.written == clean.acknowledged == clean.found == len(written)
        assert len(clean.episodes) == 8, "the seventh is an evaluation"

    @pytest.mark.parametrize(
        ("count", "collection", "change"),
        [
            ("missing", "timesteps", None),
            ("missing_acknowledged", "timesteps", None),
            ("altered", "timesteps", {"reward": 1.0}),
            ("altered", "timesteps", {"truncated": True}),
            ("altered", "timesteps", {"policy_version": 7}),
            ("altered", "timesteps", {"state": bytes(10)}),
            ("episodes_wrong", "episodes", None),
            ("episodes_wrong", "episodes", {"return": 0.0}),
            ("episodes_wrong", "episodes", {"length": 3}),
        ],
    )
    @pytest.mark.usefixtures("clean")
    def test_damage_is_counted(self, here: Stage, count: str, collection: str, change: dict[str, Any] | None) -> None:
        with here.server.client() as client:
            documents = client[DATABASE][collection]
            (one,) = documents.find().sort("_id", 1).skip(5).limit(1)
            documents.delete_one(one) if change is None else documents.update_one(one, {"$set": change})
            found = audit(here.server, here.crew, played())
            documents.replace_one({"_id": one["_id"]}, one, upsert=True)
        assert getattr(found, count) == 1
        assert not found.clean

    @pytest.mark.usefixtures("clean")
    def test_one_number_of_a_stored_vector_counts(self, here: Stage) -> None:
        with here.server.client() as client:
            timesteps = client[DATABASE]["timesteps"]
            (one,) = timesteps.find().sort("_id", 1).skip(30).limit(1)
            data = bytearray(one["action"])
            data[-1] ^= 1
            timesteps.update_one({"_id": one["_id"]}, {"$set": {"action": type(one["action"])(bytes(data), 9)}})
            found = audit(here.server, here.crew, played())
            timesteps.replace_one({"_id": one["_id"]}, one)
        assert (found.altered, found.missing) == (1, 0)

    @pytest.mark.parametrize(("id", "duplicated", "altered"), [(1, 1, 1), (None, 0, 1)])
    @pytest.mark.usefixtures("clean")
    def test_what_nobody_wrote_is_counted(self, here: Stage, id: int | None, duplicated: int, altered: int) -> None:
        with here.server.client() as client:
            timesteps = client[DATABASE]["timesteps"]
            (last,) = timesteps.find().sort("_id", -1).limit(1)
            # The same step under another id, or a step beyond the last.
            strange = last | ({"_id": id} if id else {"_id": last["_id"] + 1, "step": last["step"] + 1})
            timesteps.insert_one(strange)
            found = audit(here.server, here.crew, played())
            timesteps.delete_one({"_id": strange["_id"]})
        assert found.duplicated == duplicated
        assert found.altered >= altered

    def test_a_wrong_number_in_the_mirror_is_found(self, here: Stage, clean: Audit) -> None:
        mirror = empty_mirror(here.config, here.run)
        with closing(MongoReplay(here.server.uri(), DATABASE)) as log:
            mirror.follow(log, here.run.name)
        assert here.outcome("x", "nothing", clean, mirror).passes
        mirror.ring.discount[3] = np.nextafter(mirror.ring.discount[3], np.float32(2))
        outcome = here.outcome("x", "nothing", clean, mirror)
        assert (outcome.unequal, outcome.passes) == (1, False)

    def test_an_episode_that_the_mirror_lacks_or_has_twice_is_found(self, here: Stage, clean: Audit) -> None:
        mirror = empty_mirror(here.config, here.run)
        with closing(MongoReplay(here.server.uri(), DATABASE)) as log:
            episodes = log.episodes_after(here.run.name, {})
            train = [episode for episode in episodes if episode.id in clean.episodes]
            mirror.append(train[1:], log.read(train[1:]))
            assert here.outcome("x", "nothing", clean, mirror).unequal == 1
            mirror.append(train[:1], log.read(train[:1]))
            assert here.outcome("x", "nothing", clean, mirror).unequal == 0
            mirror.append(train[:1], log.read(train[:1]))
        assert here.outcome("x", "nothing", clean, mirror).unequal == 1

    def test_acknowledged_timesteps_that_are_missing_at_once_are_counted(self, here: Stage) -> None:
        (life,) = here.crew.lives
        ids = here.crew.ids(life, Mark.ACKNOWLEDGED)
        assert here.server.missing(ids) == 0
        assert here.server.missing([*ids, ids[-1] + 1, ids[-1] + 2]) == 2
        assert not audit(here.server, here.crew, played(), missing_before=2).clean


def test_a_scenario_that_breaks_fails_the_command_and_the_others_still_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = Audit(
        written=5,
        acknowledged=4,
        found=5,
        duplicated=0,
        missing_acknowledged=0,
        missing=0,
        altered=0,
        episodes_wrong=0,
        episodes=frozenset([1]),
    )

    def broken(folder: Path, sizes: Sizes) -> Outcome:
        raise ScenarioFailed("waited in vain")

    def fine(folder: Path, sizes: Sizes) -> Outcome:
        return Outcome(scenario="fine", done="it", audit=clean, unequal=0, mirrored=1, shown={"so": True}, seconds=1.0)

    monkeypatch.setattr(report, "SCENARIOS", {"broken": broken, "fine": fine})
    with pytest.raises(SystemExit) as ended:
        main(["faults", "--quick", "--json", str(tmp_path / "found.json")])
    assert ended.value.code == 1
    found = json.loads((tmp_path / "found.json").read_text())
    assert [(row["name"], row["passes"]) for row in found["rows"]] == [("broken", False), ("fine", True)]
    shown = capsys.readouterr().out
    assert "ScenarioFailed: waited in vain" in shown
    assert main(["faults", "--only", "fine"]) == 0
    assert main(["faults", "--only", "absent"]) == 1


def test_whatever_had_to_happen_and_did_not_fails_the_scenario() -> None:
    row = failed("x", RuntimeError("no"), 1.0)
    assert row["passes"] is False
    assert "RuntimeError: no" in table([row])


@pytest.mark.mongo
def test_an_interrupted_command_leaves_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "infra", "faults", "--only", "killed"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: any(tmp_path.glob("faults-*/*.marks")), "a worker was started", 120.0)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=120.0)
    assert process.returncode == 130, told
    assert list(tmp_path.glob("faults-*")) == []
    assert [name for name in _commands() if str(tmp_path) in name] == []


def _commands() -> list[str]:
    """Command lines of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


class TestTheLine:
    @pytest.fixture
    def line(self) -> Iterator[Line]:
        """To a server that answers with what it is told."""
        server = socket.create_server(("127.0.0.1", 0))

        def serve(client: socket.socket) -> None:
            with client, contextlib.suppress(ConnectionResetError):
                while data := client.recv(100):
                    client.sendall(data)

        def accept() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        wire = Line("127.0.0.1", server.getsockname()[1])
        yield wire
        wire.close()
        server.shutdown(socket.SHUT_RDWR)
        server.close()

    @pytest.fixture
    def client(self, line: Line) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", line.port), timeout=30.0) as near:
            near.sendall(b"one")
            assert near.recv(100) == b"one"
            yield near

    def test_a_cut_resets_the_connections_that_are_and_those_that_come(self, line: Line, client: socket.socket) -> None:
        line.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(100)
        assert _nobody_answers(line.port)
        assert line.resets == 2

    def test_a_silent_line_swallows_and_what_it_has_swallowed_stays_dead(
        self, line: Line, client: socket.socket
    ) -> None:
        line.silence()
        client.sendall(b"two")
        wait_until(lambda: line.swallowed_bytes == 3, "the bytes were swallowed", 30.0)
        line.mend()
        client.sendall(b"three")
        wait_until(lambda: line.swallowed_bytes == 8, "they were swallowed as well", 30.0)
        line.mend(reset=True)
        with pytest.raises(ConnectionResetError):
            client.recv(100)

    def test_a_connection_that_has_lost_nothing_goes_on_after_a_silence(
        self, line: Line, client: socket.socket
    ) -> None:
        line.silence()
        line.mend(reset=True)
        client.sendall(b"two")
        assert client.recv(100) == b"two"


def _nobody_answers(port: int) -> bool:
    """A connection that is refused after it was made may end in order or by a reset."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30.0) as client:
            client.sendall(b"x")
            return client.recv(100) == b""
    except ConnectionError:
        return True
