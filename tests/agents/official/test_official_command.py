"""`python -m agents evaluate --official`: policies from everywhere, its files, and what it says of mistakes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agents.__main__ import main
from agents.build import contract_of, create_run
from agents.checkpoints.contract import Blob, CheckpointMissing
from agents.checkpoints.s3 import S3Checkpoints
from agents.config import RunConfig
from agents.evaluator import EVALUATED
from agents.official.sources import BOX, best_version, in_the_box, named
from agents.policy_file import policy_bytes, read_policy
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from tests.bodied import body_policy
from tests.policies import small_policy
from tests.runs import RUN, open_run, small_config

SHORT = ("--episodes", "2", "--max-steps", "8", "--physics", "native", "--workers", "1")
Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Say]:
    """Runs `evaluate` with arguments; gives status, output and errors."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    os.environ["DATA_DIR"] = str(tmp_path / "data")

    def command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = main(["evaluate", *arguments])
        except SystemExit as ended:
            status = int(str(ended.code))
        said = capsys.readouterr()
        return status, said.out, said.err

    yield command
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / "walk.safetensors"
    path.write_bytes(policy_bytes(body_policy(1), {"made": "of random weights"}))
    return path


def test_a_file_is_scored_and_everything_asked_for_is_written(say: Say, policy_file: Path, tmp_path: Path) -> None:
    json_path, card = tmp_path / "walk.json", tmp_path / "walk.png"
    status, out, err = say(
        "--official", "--policy", str(policy_file), "--json", str(json_path), "--card", str(card), *SHORT
    )
    assert status == 0, err
    assert "round1, held-out seeds 1001 to 1002" in out
    assert "verdict in round2 (not official: on native/BogackiShampine32/1e-06, 8 steps at most): " in out
    document = json.loads(json_path.read_text())
    assert document["official"] is False
    assert document["policy"]["provenance"] == {"made": "of random weights"}
    assert document["policy"]["version"] == 7
    assert document["seeds"] == {"held_out": [1001, 1002], "grader": [11, 22, 33]}
    rows = {row["name"]: row for row in document["rows"]}
    for name in ("mean", "std", "worst", "fall_rate", "steps_to_fall", "distance_m", "speed_error_m_per_s"):
        assert rows[f"round2/{name}"]["unit"]
        assert rows[f"round1/random/{name}"]["unit"]
    episodes = document["episodes"]["round2"]["policy"]
    assert [one["seed"] for one in episodes] == [1001, 1002, 11, 22, 33]
    held_out = [one["episode_return"] for one in episodes[:2]]
    assert rows["round2/mean"]["value"] == pytest.approx(sum(held_out) / 2)
    assert rows["round2/normalised"]["value"] == pytest.approx(
        (rows["round2/mean"]["value"] - rows["round2/standing/mean"]["value"])
        / (80 - rows["round2/standing/mean"]["value"])
    )
    assert document["gait"]["episodes"] == 2
    assert json.loads((tmp_path / "walk.card.json").read_text()) == document["gait"]
    assert card.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.opensim
def test_the_command_scores_on_opensim_unless_told_otherwise(say: Say, policy_file: Path) -> None:
    arguments = ("--official", "--policy", str(policy_file), "--rounds", "round2", "--episodes", "1")
    status, out, err = say(*arguments, "--max-steps", "4", "--workers", "1")
    assert status == 0, err
    assert "opensim/RungeKuttaMerson/5e-05/stale-controls" in out
    assert "minus native, episode by episode: mean" in out


def test_an_empty_box_says_what_to_do(say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("agents.official.command.in_the_box", lambda: in_the_box(tmp_path / "box" / "walk.safetensors"))
    status, _, err = say("--official")
    assert status == 1
    (line,) = err.splitlines()
    assert line.startswith("evaluate: there is no policy in the box yet (agents/box/walk.safetensors is missing)")
    assert "export-policy --format safetensors" in line


def test_what_is_in_the_box_is_scored_when_nothing_is_named(
    say: Say, monkeypatch: pytest.MonkeyPatch, policy_file: Path
) -> None:
    monkeypatch.setattr("agents.official.command.in_the_box", lambda: in_the_box(policy_file))
    status, out, err = say("--official", "--rounds", "round2", *SHORT)
    assert status == 0, err
    assert out.startswith("the policy in the box, version 7: round2, 5 seeds")
    assert BOX.parts[-3:] == ("agents", "box", "walk.safetensors")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "required: --run (or --official)"),
        (("--run", "x", "--episodes", "5"), 2, "--episodes belong to --official"),
        (("--run", "x", "--version", "best"), 2, "--version best belongs to --official"),
        (("--official", "--policy", "p", "--run", "x"), 2, "--policy and --run name two policies"),
        (("--official", "--version", "3"), 2, "--version is one of a run; needed --run NAME too"),
        (("--official", "--seeds", "3"), 2, "--once and --seeds belong to scoring a run in the background"),
        (("--official", "--card", "gait.json"), 2, "--card draws a picture"),
        (("--official", "--policy", "absent.safetensors"), 1, "there is no policy file absent.safetensors"),
        (("--official", "--policy", "s3://bucket"), 1, "'s3://bucket' is no S3 URI"),
        (("--official", "--policy", "p", "--episodes", "0"), 1, "0 episodes were asked for; there are 1 to 1000"),
        (("--official", "--policy", "p", "--workers", "0"), 1, "workers is 0, needed at least 1"),
        (("--official", "--policy", "p", "--json", "absent/x.json"), 1, "to write x.json in"),
        (("--official", "--run", "x"), 1, "MONGODB_URI is not set"),
    ],
)
def test_mistakes_are_told_in_a_sentence(arguments: tuple[str, ...], status: int, words: str, say: Say) -> None:
    found, _, err = say(*arguments)
    assert found == status
    assert "Traceback" not in err
    assert words in err.splitlines()[-1]


def test_a_policy_of_a_body_that_is_no_challenge_s_is_refused(say: Say, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    path.write_bytes(policy_bytes(small_policy(), {}))
    status, _, err = say("--official", "--policy", str(path), *SHORT)
    assert status == 1
    assert "this policy may not act here: layout_sha256 is '0'" in err


def test_an_episode_shorter_than_a_step_is_refused(say: Say, policy_file: Path) -> None:
    status, _, err = say("--official", "--policy", str(policy_file), "--max-steps", "0")
    assert status == 1
    assert "max_steps=0 must be a whole number in 1..300" in err


@pytest.mark.s3
def test_a_published_version_is_named_by_its_s3_uri(s3_bucket: str, say: Say) -> None:
    policies = [body_policy(seed).to_blob() for seed in (1, 2)]
    learner = Blob({}, {"updates": 5})
    with closing(S3Checkpoints(s3_bucket)) as store:
        for policy in policies:
            store.publish("walk", policy, learner, {"updates": 5})
    uri = f"s3://{s3_bucket}/runs/walk/versions/00000001"
    for name in (uri, f"{uri}/", f"{uri}/policy.safetensors", f"{uri}/manifest.json"):
        found = named(name)
        assert (found.policy.version, found.name) == (1, "version 1 of run walk")
        assert found.provenance["metadata"] == {"updates": 5}
    assert named(uri).policy.to_blob().metadata == policies[0].metadata
    status, out, err = say("--official", "--policy", uri, "--rounds", "round2", *SHORT)
    assert status == 0, err
    assert out.startswith("version 1 of run walk: round2")
    assert "MONGODB" not in err
    status, _, err = say("--official", "--policy", uri.replace("00000001", "00000009"))
    assert (status, "run 'walk' has no version 9. Versions that exist: 1, 2" in err) == (1, True)
    status, _, err = say("--official", "--policy", f"s3://{s3_bucket}/some/other.safetensors")
    assert (status, "there is no object s3://" in err) == (1, True)


def evaluated(replay: MemoryReplay, version: int, mean: float, physics: str = "native") -> None:
    replay.event(RUN, "evaluator", EVALUATED, version=version, mean=mean, physics=physics, seeds=[1], reference=physics)


def test_the_best_version_is_that_of_the_newest_kind_of_evaluation() -> None:
    replay = MemoryReplay()
    open_run(replay, small_config())
    with pytest.raises(CheckpointMissing, match="0 evaluations were noted"):
        best_version(replay, RUN)
    evaluated(replay, 1, 9999.0, physics="another")
    for version, mean in ((2, 100.0), (3, 300.0), (4, 200.0)):
        evaluated(replay, version, mean)
    assert best_version(replay, RUN) == 3


@pytest.mark.opensim
@pytest.mark.mongo
@pytest.mark.s3
def test_a_run_s_newest_numbered_or_best_version_is_scored_and_exported(
    mongodb_uri: str, database_name: str, s3_bucket: str, say: Say, tmp_path: Path
) -> None:
    os.environ |= {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": database_name, "S3_BUCKET": s3_bucket}
    with closing(MongoReplay(mongodb_uri, database_name)) as replay, closing(S3Checkpoints(s3_bucket)) as store:
        config = RunConfig()
        run = create_run("walk", config, replay)
        assert contract_of(run, config) == body_policy().contract
        for seed in (1, 2, 3):
            store.publish("walk", body_policy(seed).to_blob(), Blob({}, {}), {"updates": seed})
        for version, mean in ((1, 100.0), (2, 300.0), (3, 200.0)):
            details = {"version": version, "mean": mean, "physics": "x", "reference": "x", "seeds": [1]}
            replay.event("walk", "evaluator", EVALUATED, **details)
    named_by: dict[int, tuple[str, ...]] = {3: (), 1: ("--version", "1"), 2: ("--version", "best")}
    for expected, which in named_by.items():
        status, out, err = say("--official", "--run", "walk", *which, "--rounds", "round2", *SHORT)
        assert status == 0, err
        assert out.startswith(f"version {expected} of run walk: ")
    out_file = tmp_path / "best.safetensors"
    command = ["export-policy", "--run", "walk", "--version", "best", "--format", "safetensors", "--out", str(out_file)]
    assert main(command) == 0
    policy, provenance = read_policy(out_file)
    assert (policy.version, provenance["run"], provenance["metadata"]) == (2, "walk", {"updates": 2})
