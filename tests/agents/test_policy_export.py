"""An exported policy acts as the one that was trained, and carries what it may act on."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import agents.numpy_policy
from agents.__main__ import main
from agents.build import build_learner, contract_of
from agents.checkpoints.contract import Blob
from agents.checkpoints.s3 import S3Checkpoints
from agents.networks import Actor
from agents.normalisation import RunningNormaliser
from agents.numpy_policy import METADATA, NumpyPolicy
from agents.policy import Policy, PolicyContract, PolicyMismatch
from agents.policy_export import ExportFailed, export_policy
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from tests.runs import RUN, explore, open_run, small_config

onnxruntime = pytest.importorskip("onnxruntime")

Float32 = NDArray[np.float32]
CONTRACT = PolicyContract(
    layout_sha256="ab" * 32,
    observation="compact/1",
    observation_size=12,
    action_size=3,
    frame_skip=(2, 5),
    bins=11,
    action_names=("abd_r", "add_r", "iliopsoas_r"),
    task="round2",
)
NETWORKS = pytest.mark.parametrize(
    ("network", "hidden"), [("mlp", (16, 8)), ("mlp", ()), ("residual", (16, 16))], ids=["mlp", "linear", "residual"]
)


def observations(rows: int = 200) -> Float32:
    """Of very different sizes; one feature never changes, a few are far outside of what was seen."""
    values = np.random.default_rng(1).normal(5.0, 3.0, (rows, 12)) * 10.0 ** np.arange(-6, 6)
    values[:, 4] = 7.0
    values[-5:] *= 1e3
    return values.astype(np.float32)


def policy_of(network: str = "mlp", hidden: Sequence[int] = (16, 8)) -> Policy:
    actor = Actor(12, 3, hidden, network=network, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, value in actor.named_parameters():
            # Every parameter counts, gains and shifts of normalisations as well.
            value.add_(0.4 * torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name))))
    normaliser = RunningNormaliser(12)
    normaliser.update(observations()[:100])
    return Policy(actor, normaliser.frozen(), CONTRACT, version=3)


def exported(policy: Policy, form: str, path: Path) -> Path:
    export_policy(policy.to_blob(), policy.version, policy.contract, form, path)
    return path


@NETWORKS
def test_the_numpy_runner_acts_as_the_policy(network: str, hidden: Sequence[int], tmp_path: Path) -> None:
    policy = policy_of(network, hidden)
    runner = NumpyPolicy.load(exported(policy, "numpy", tmp_path / "p.npz"))
    rows = observations()
    expected = policy(rows)
    assert np.abs(expected).max() > 0.3
    np.testing.assert_allclose(runner(rows), expected, atol=1e-5, rtol=0)
    np.testing.assert_allclose(runner(rows[0]), expected[0], atol=1e-5, rtol=0)
    assert runner(rows).dtype == np.float32


@NETWORKS
def test_onnx_acts_as_the_policy_for_any_number_of_rows(network: str, hidden: Sequence[int], tmp_path: Path) -> None:
    policy = policy_of(network, hidden)
    session = onnxruntime.InferenceSession(exported(policy, "onnx", tmp_path / "p.onnx"))
    for rows in (observations(), observations()[:1], observations()[:7]):
        (action,) = session.run(["action"], {"observation": rows})
        np.testing.assert_allclose(action, policy(rows), atol=1e-5, rtol=0)
    stored = session.get_modelmeta().custom_metadata_map
    assert json.loads(stored["contract"]) == json.loads(json.dumps(dataclasses.asdict(CONTRACT)))
    assert (json.loads(stored["format"]), json.loads(stored["version"])) == ("policy/1", 3)


def test_a_learned_policy_is_exported_equal_on_what_the_body_shows(tmp_path: Path) -> None:
    replay, config = MemoryReplay(), small_config()
    run = open_run(replay, config)
    explore(replay, config, run, 300)
    learner = build_learner(config, run)
    learner.mirror.follow(replay, RUN)
    for _ in range(100):
        learner.learn()
    policy = Policy.from_blob(learner.policy(), version=1)
    seen = learner.mirror.sample(256, np.random.default_rng(0)).observation
    expected = policy(seen)
    assert expected.std() > 1e-3
    runner = NumpyPolicy.load(exported(policy, "numpy", tmp_path / "p.npz"))
    np.testing.assert_allclose(runner(seen), expected, atol=1e-5, rtol=0)
    session = onnxruntime.InferenceSession(exported(policy, "onnx", tmp_path / "p.onnx"))
    np.testing.assert_allclose(session.run(None, {"observation": seen})[0], expected, atol=1e-5, rtol=0)


def test_the_runner_is_one_file_that_needs_numpy_alone(tmp_path: Path) -> None:
    policy = policy_of()
    exported(policy, "numpy", tmp_path / "p.npz")
    shutil.copy(str(agents.numpy_policy.__file__), tmp_path / "alone.py")
    row = observations()[0]
    code = (
        "import sys; before = set(sys.modules)\n"
        "import alone, numpy as np\n"
        f"action = alone.NumpyPolicy.load('p.npz')(np.array({row.tolist()}, np.float32))\n"
        "assert not {'torch', 'agents', 'safetensors'} & set(sys.modules)\n"
        "print(action.tolist())"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    np.testing.assert_allclose(json.loads(told.stdout), policy(row), atol=1e-5, rtol=0)


def test_the_runner_carries_the_contract_and_refuses_to_act_elsewhere(tmp_path: Path) -> None:
    runner = NumpyPolicy.load(exported(policy_of(), "numpy", tmp_path / "p.npz"))
    assert runner.contract == json.loads(json.dumps(dataclasses.asdict(CONTRACT)))
    runner.check(**dataclasses.asdict(CONTRACT))
    with pytest.raises(ValueError, match=r"bins is 11, needed None; frame_skip is \[2, 5\], needed 4"):
        runner.check(bins=None, frame_skip=4, layout_sha256="ab" * 32)
    with pytest.raises(ValueError, match=r"shape \(13,\), needed 12"):
        runner(np.zeros(13, np.float32))
    with pytest.raises(FloatingPointError, match="not finite"):
        runner(np.full(12, np.inf, np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"format": "policy/9"}, "format is 'policy/9'"), ({"network": "lstm"}, "network is 'lstm'")],
)
def test_the_runner_refuses_what_it_does_not_know(change: dict[str, str], message: str, tmp_path: Path) -> None:
    blob = policy_of().to_blob()
    with pytest.raises(ValueError, match=message):
        NumpyPolicy(blob.tensors, dict(blob.metadata) | change)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match="was it written by export-policy"):
        NumpyPolicy.load(tmp_path / "other.npz")


@pytest.mark.parametrize("form", ["onnx", "numpy"])
def test_a_policy_of_another_contract_is_not_exported(form: str, tmp_path: Path) -> None:
    policy, path = policy_of(), tmp_path / "p"
    needed = dataclasses.replace(CONTRACT, layout_sha256="cd" * 32)
    with pytest.raises(PolicyMismatch, match="layout_sha256"):
        export_policy(policy.to_blob(), 3, needed, form, path)
    with pytest.raises(ValueError, match="needed 'policy/1'"):
        export_policy(Blob({}, {}), 3, CONTRACT, form, path)
    assert not path.exists()


def test_a_file_that_would_act_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.numpy_policy._NORM_EPSILON", 0.5)
    path = tmp_path / "p.npz"
    with pytest.raises(ExportFailed, match=r"the numpy policy is off by .*, needed at most 1e-05; not written"):
        exported(policy_of("residual", (16, 16)), "numpy", path)
    assert not path.exists()


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExportFailed, match=r"missing here .*--format numpy"):
        exported(policy_of(), "onnx", tmp_path / "p.onnx")


@pytest.fixture
def signals() -> Iterator[None]:
    """A command in this process takes over what stops it."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.mongo
@pytest.mark.s3
@pytest.mark.usefixtures("signals")
def test_a_published_version_is_exported_by_its_command(
    mongodb_uri: str, database_name: str, s3_bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ |= {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": database_name, "S3_BUCKET": s3_bucket}
    config = small_config()
    with closing(MongoReplay(mongodb_uri, database_name)) as replay, closing(S3Checkpoints(s3_bucket)) as store:
        run = open_run(replay, config)
        for seed in (1, 2):
            plain = config.plain()
            plain["learner"]["seed"] = seed
            learner = build_learner(type(config).of(plain), run)
            store.publish(RUN, learner.policy(), learner.state(), {"updates": 0})
        _, blob = store.load(RUN, "policy", 1)
    out = tmp_path / "first.npz"
    command = ["export-policy", "--run", RUN, "--format", "numpy", "--out"]
    assert main([*command, str(out), "--version", "1"]) == 0
    assert "first.npz: version 1 of run small" in capsys.readouterr().out
    row = np.random.default_rng(0).standard_normal(contract_of(run, config).observation_size).astype(np.float32)
    first, runner = Policy.from_blob(blob, version=1)(row), NumpyPolicy.load(out)
    np.testing.assert_allclose(runner(row), first, atol=1e-5, rtol=0)
    assert main([*command, str(tmp_path / "newest.npz")]) == 0
    assert not np.allclose(NumpyPolicy.load(tmp_path / "newest.npz")(row), first, atol=1e-4)
    assert main([*command, str(tmp_path / "mean.npz"), "--average", "2"]) == 0
    assert "mean of 2 versions up to 2 of run small" in capsys.readouterr().out
    with np.load(tmp_path / "mean.npz") as stored:
        assert json.loads(stored[METADATA].tobytes())["provenance"]["averaged"] == [1, 2]
    assert not np.allclose(NumpyPolicy.load(tmp_path / "mean.npz")(row), first, atol=1e-4)
    assert main([*command, str(tmp_path / "more.npz"), "--average", "3"]) == 1
    assert "keeps 2 versions" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "nowhere" / "p.npz")]) == 1
    assert "no folder" in capsys.readouterr().err
