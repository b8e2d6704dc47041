"""`python -m agents …`: each command as a process of its own, and what it says when something is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agents.__main__ import _parser, main
from agents.build import contract_of, create_run
from agents.checkpoints.s3 import S3Checkpoints
from agents.config import RunConfig
from agents.connections import ConnectionsMissing
from agents.policy import Policy
from agents.replay.mongo import MongoReplay
from tests.contracts.replay_samples import sample_run
from tests.runs import explore, open_run, small_config

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("create", "rollout", "explore", "learn", "evaluate", "find-lr", "resimulate")


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agents", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@dataclass
class Told:
    """What a command answered."""

    status: int
    out: str
    err: str

    def sentence(self) -> str:
        """All that a command which failed told its user."""
        assert self.status == 1, self.err
        assert "Traceback" not in self.err
        (line,) = self.err.splitlines()
        return line


Command = Callable[..., Told]


@pytest.fixture
def agents(capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs a command in this process: a new one takes seconds."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def command(*arguments: str) -> Told:
        capsys.readouterr()
        status = main(arguments)
        said = capsys.readouterr()
        return Told(status, said.out, said.err)

    yield command
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_needs_a_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _parser().parse_args([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "--run NAME" in text
    assert "--traceback" in text
    with pytest.raises(SystemExit) as ended:
        main([command])
    assert ended.value.code == 2
    assert "--run" in capsys.readouterr().err


def test_the_help_names_every_command() -> None:
    text = _parser().format_help()
    for command in (*COMMANDS, "watch", "export-policy"):
        assert command in text


@pytest.mark.parametrize("command", COMMANDS)
def test_services_that_are_not_named_are_asked_for_in_one_sentence(command: str, agents: Command) -> None:
    text = agents(command, "--run", "x").sentence()
    assert text.startswith(f"{command}: MONGODB_URI is not set")
    assert "python -m infra up" in text


def test_a_process_that_fails_says_one_sentence_and_ends_with_status_one() -> None:
    found = process("learn", "--run", "x")
    assert Told(found.returncode, found.stdout, found.stderr).sentence().startswith("learn: MONGODB_URI is not set")


def test_the_traceback_is_shown_to_who_asks(agents: Command) -> None:
    with pytest.raises(ConnectionsMissing):
        agents("learn", "--run", "x", "--traceback")


def test_a_bucket_that_is_not_named_is_asked_for(agents: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://nobody:secret@127.0.0.1:1/")
    assert "S3_BUCKET is not set" in agents("learn", "--run", "x").sentence()


def test_a_database_that_does_not_answer_is_named_without_the_password(
    agents: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://nobody:hunter2@127.0.0.1:1/")
    monkeypatch.setenv("S3_BUCKET", "bucket")
    monkeypatch.setattr("agents.build.MongoReplay", partial(MongoReplay, connect_s=0.5))
    text = agents("create", "--run", "x").sentence()
    assert "127.0.0.1:1 does not answer" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--run", "a b"), "run name 'a b' must be"),
        (("--run", "x", "--config", "absent.toml"), "cannot read the configuration absent.toml: No such file"),
        (("--run", "x", "--set", "learner.batchsize=3"), "did you mean 'batch_size'"),
        (("--run", "x", "--set", "replay.gamma=2"), "gamma=2.0 must be in [0, 1)"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_reached(
    arguments: tuple[str, ...], words: str, agents: Command
) -> None:
    text = agents("create", *arguments).sentence()
    assert text.startswith("create: ")
    assert words in text


def test_a_missing_file_is_named_and_not_its_error_number(agents: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "gait.osim")

    monkeypatch.setattr("agents.new_run.load_config", absent)
    assert agents("create", "--run", "x").sentence() == "create: [Errno 2] No such file or directory: 'gait.osim'"


def test_a_report_is_not_made_for_a_folder_that_is_not_there(agents: Command, tmp_path: Path) -> None:
    text = agents("resimulate", "--run", "x", "--json", str(tmp_path / "absent" / "found.json")).sentence()
    assert text == f"resimulate: no folder {tmp_path / 'absent'} to write found.json in"


@pytest.mark.parametrize("arguments", [("--episodes", "0"), ("--worst", "--ids", "1"), ("--integrator", "Euler")])
def test_a_resimulation_of_nothing_known_is_refused(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        _parser().parse_args(["resimulate", "--run", "x", *arguments])
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.fixture
def replay(real_log: MongoReplay) -> MongoReplay:
    return real_log


@pytest.mark.mongo
@pytest.mark.s3
def test_an_unknown_run_names_those_that_exist(agents: Command, replay: MongoReplay) -> None:
    replay.open_run(sample_run("walk-1"))
    replay.open_run(sample_run("walk-2"))
    text = agents("rollout", "--run", "walk").sentence()
    assert text == "rollout: no run 'walk'; there are: walk-1, walk-2"


@pytest.mark.mongo
@pytest.mark.s3
def test_a_run_whose_name_is_mistyped_is_not_made(agents: Command, replay: MongoReplay) -> None:
    open_run(replay, small_config(), "walk")
    text = agents("learn", "--run", "wal").sentence()
    assert text == "learn: no run 'wal'; there are: walk"


@pytest.mark.opensim
@pytest.mark.mongo
@pytest.mark.s3
def test_a_run_keeps_its_settings_and_other_ones_are_refused(agents: Command, replay: MongoReplay) -> None:
    plain: dict[str, Any] = {
        "environment": {"task": "prosthetics-round1", "max_steps": 40},
        "learner": {"batch_size": 64},
    }
    create_run("walk", RunConfig.of(plain), replay)

    def create_again(*settings: str) -> Told:
        named = [argument for setting in settings for argument in ("--set", setting)]
        return agents("create", "--run", "walk", *named)

    going_on = create_again()
    assert going_on.status == 0, going_on.err
    assert "run walk: prosthetics-round1" in going_on.out
    same = create_again("learner.batch_size=64")
    assert same.status == 0, same.err
    text = create_again("learner.batch_size=32").sentence()
    assert "run 'walk' exists with learner.batch_size = 64, asked for is 32" in text
    text = create_again("learner.batch_size=64", "environment.task=prosthetics-round2").sentence()
    assert "exists with environment.task = 'prosthetics-round1', asked for is 'prosthetics-round2'" in text
    assert RunConfig.of(replay.run("walk").config) == RunConfig.of(plain)


@pytest.mark.opensim
@pytest.mark.mongo
@pytest.mark.s3
def test_a_file_over_an_existing_run_is_refused_where_it_differs(
    agents: Command, replay: MongoReplay, tmp_path: Path
) -> None:
    made = agents("create", "--run", "walk", "--set", "environment.max_steps=40")
    assert made.status == 0, made.err
    path = tmp_path / "run.toml"
    path.write_text("[environment]\nmax_steps = 40\n")
    found = agents("create", "--run", "walk", "--config", str(path))
    assert found.status == 0, found.err
    path.write_text("[environment]\nmax_steps = 41\n")
    text = agents("create", "--run", "walk", "--config", str(path)).sentence()
    assert "environment.max_steps = 40, asked for is 41" in text
    assert os.listdir(tmp_path) == ["run.toml"], "making a run leaves nothing else here"


@pytest.mark.opensim
@pytest.mark.mongo
@pytest.mark.s3
def test_a_stored_run_is_learned_from_again_with_another_observation_and_reward_and_no_worker(
    agents: Command, replay: MongoReplay, s3_bucket: str
) -> None:
    small = ("environment.max_steps=40", "replay.explore_timesteps=100", "learner.batch_size=16")
    settings = [argument for setting in small for argument in ("--set", setting)]
    for arguments in (("create", "--run", "old", *settings), ("explore", "--run", "old")):
        told = agents(*arguments)
        assert told.status == 0, told.err
    made = agents("create", "--run", "new", "--from", "old", "--observation", "original", "--reward", "round1")
    assert made.status == 0, made.err
    assert "sees original/1, learns for round1/1\n  learns from run old as well: 50% of every batch" in made.out
    learner = subprocess.Popen([sys.executable, "-m", "agents", "learn", "--run", "new"], cwd=ROOT)
    try:
        with closing(S3Checkpoints(s3_bucket)) as store:
            given_up_s = time.monotonic() + 120
            while store.latest("new") is None:
                assert learner.poll() is None, "the learner ended by itself"
                assert time.monotonic() < given_up_s, "nothing was published"
                time.sleep(0.1)
            learner.send_signal(signal.SIGINT)
            assert learner.wait(60) == 0
            version, blob = store.load("new", "policy")
    finally:
        learner.kill()
        learner.wait()
    run = replay.run("new")
    assert version.metadata["updates"] > 0
    assert version.metadata["timesteps"] == sum(episode.length for episode in replay.episodes_after("old", {}))
    Policy.from_blob(blob, version=version.number).check(contract_of(run, RunConfig.of(run.config)))
    assert (run.observation, run.reward, replay.run("old").reward) == ("original/1", "round1/1", "round2/1")
    assert replay.episodes_after("new", {}) == []


@pytest.mark.opensim
@pytest.mark.mongo
@pytest.mark.s3
def test_a_run_that_could_not_learn_from_the_stored_one_is_not_made(agents: Command, replay: MongoReplay) -> None:
    old = small_config()
    explore(replay, old, open_run(replay, old, "old"), 60)
    text = agents("create", "--run", "new", "--from", "old").sentence()
    assert "run 'new' can not learn from run 'old': its states or muscles are others" in text
    text = agents("create", "--run", "new", "--set", 'replay.partitions={"odl": 0.5}').sentence()
    assert text == "create: no run 'odl'; there are: old"
    assert replay.runs() == ["old"]
