"""The notebooks, run for real on a tiny budget: MongoDB, S3 server, simulator, networks. And how they are written."""

from __future__ import annotations

import ast
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from pymongo import MongoClient

from agents.actor import EpisodePlan, play
from agents.build import build_environment, contract_of, create_run
from agents.checkpoints.s3 import S3Checkpoints
from agents.config import RunConfig
from agents.evaluator import EVALUATED
from agents.exploration.uniform import UniformActions
from agents.policy import RandomPolicy
from agents.replay.mongo import MongoReplay
from agents.replay.runs import ABORTED

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NAMES = (
    "Analyze DB Timesteps",
    "Rollout Distributed",
    "Rollout Random",
    "Test Integrator Accuracy",
    "Train Distributed",
    "Verify Setup",
)
RUN = "tiny"
LONGEST_CELL, MOST_CODE = 15, 100


@dataclass(frozen=True)
class Executed:
    """A notebook after its run."""

    values: dict[str, Any]
    """Of the expressions that were asked for."""
    text: str
    """All that its cells printed."""
    plots: int


@pytest.fixture(scope="module")
def tiny_run(mongodb_uri: str) -> Iterator[tuple[str, MongoReplay]]:
    """Name of a database with a run of about 300 random timesteps in the real simulator, and its log."""
    database = f"test_{uuid.uuid4().hex}"
    config = RunConfig.of(
        {
            "environment": {"max_steps": 40},
            "replay": {"explore_timesteps": 200, "capacity_timesteps": 5_000, "write_batch": 20},
            "algorithm": {"settings": {"hidden": [16, 16]}},
            "learner": {"batch_size": 16, "publish_seconds": 1},
            "evaluation": {"seeds": [11]},
        }
    )
    replay = MongoReplay(mongodb_uri, database)
    run = create_run(RUN, config, replay)
    environment = build_environment(config.environment, run)
    generator = np.random.default_rng(0)
    policy = RandomPolicy(contract_of(run, config), generator)
    writer = replay.writer(RUN, "prepared")
    for seed in range(1, 9):
        plan = EpisodePlan(seed, UniformActions(generator), "explore")
        play(environment, policy, writer, plan, environment.physics.name, lambda: False)
    yield database, replay
    replay.close()
    client: MongoClient[dict[str, Any]]
    with MongoClient(mongodb_uri) as client:
        client.drop_database(database)


@pytest.fixture
def replay(
    tiny_run: tuple[str, MongoReplay],
    mongodb_uri: str,
    s3_bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> MongoReplay:
    """The log of the tiny run; the environment names its services, as `.env` would."""
    database, opened = tiny_run
    monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("MONGODB_DATABASE", database)
    monkeypatch.setenv("S3_BUCKET", s3_bucket)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    return opened


def load(name: str) -> Any:
    return nbformat.reads((FOLDER / f"{name}.ipynb").read_text(), as_version=4)  # type: ignore[no-untyped-call]


def execute(
    name: str, tmp_path: Path, parameters: dict[str, Any], wanted: dict[str, str], *, cells: slice = slice(None)
) -> Executed:
    """Runs a notebook from its folder with other `parameters`, and evaluates `wanted` expressions in its kernel."""
    notebook = load(name)
    notebook.cells = notebook.cells[cells]
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == bool(parameters)
    for cell in tagged:
        known = {target.id for line in ast.parse(cell.source).body for target in line.targets}
        assert set(parameters) <= known, "the notebook has no such parameter"
        cell.source += "\n" + "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
    answer = ", ".join(f"{key!r}: {expression}" for key, expression in wanted.items())
    asking = f"import json\nprint(json.dumps({{{answer}}}))"
    notebook.cells.append(nbformat.v4.new_code_cell(asking))  # type: ignore[no-untyped-call]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        patch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
        NotebookClient(
            notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
        ).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = [output.text for output in outputs if output.output_type == "stream" and output.name == "stdout"]
    plots = sum("image/png" in output.get("data", {}) for output in outputs)
    return Executed(json.loads(printed[-1]), "".join(printed[:-1]), plots)


@pytest.mark.mongo
@pytest.mark.s3
@pytest.mark.opensim
def test_verify_setup_shows_runs_and_simulator_and_writes_nothing(replay: MongoReplay, tmp_path: Path) -> None:
    before = replay.counts(RUN)
    wanted = {
        "ready": "services_ready",
        "counts": "runs['tiny'][0].timesteps",
        "heights": "[float(h) for h in heights_m]",
        "device": "str(learner_device)",
    }
    found = execute("Verify Setup", tmp_path, {}, wanted)
    assert found.values["ready"] is True
    assert found.values["counts"] == before.timesteps
    assert all(0.8 < height < 1.0 for height in found.values["heights"])
    assert found.values["device"].split(":")[0] in ("cpu", "cuda")
    assert "native/BogackiShampine32" in found.text
    assert "missing" not in found.text
    assert replay.counts(RUN) == before


def test_verify_setup_says_what_to_do_without_services(tmp_path: Path) -> None:
    found = execute("Verify Setup", tmp_path, {}, {"ready": "services_ready", "runs": "runs"}, cells=slice(0, 7))
    assert found.values == {"ready": False, "runs": {}}
    assert "not ready: MONGODB_URI is not set" in found.text
    assert "python -m infra up" in found.text


@pytest.mark.opensim
def test_rollout_random_plays_an_episode_and_plots_it(tmp_path: Path) -> None:
    wanted = {
        "steps": "steps",
        "return": "float(total)",
        "terms": "float(sum(sum(term.values()) for term in terms))",
        "ended": "info['ended']",
        "held": "int(held.sum())",
        "branches": "list(env.state_dict())",
    }
    found = execute("Rollout Random", tmp_path, {"TASK": "prosthetics-round2", "SEED": 3, "MOST_STEPS": 30}, wanted)
    assert found.values["steps"] == found.values["held"] == 30
    assert found.values["ended"] == "time_limit"
    assert 100 < found.values["return"] < 300
    assert found.values["terms"] == pytest.approx(found.values["return"])
    assert {"joint_pos", "muscles", "forces", "misc", "target_vel"} <= set(found.values["branches"])
    assert found.plots == 2


@pytest.mark.mongo
@pytest.mark.s3
@pytest.mark.opensim
def test_rollout_distributed_adds_timesteps_to_the_run(replay: MongoReplay, tmp_path: Path) -> None:
    before = replay.counts(RUN)
    wanted = {
        "new": "after.timesteps - before.timesteps",
        "killed": "killed",
        "restarts": "sum(child.restarts for child in fleet.children.values())",
        "alive": "sum(child.alive for child in fleet.children.values())",
    }
    parameters = {"RUN": RUN, "WORKERS": 1, "MINUTES": 1.0, "TIMESTEPS": 20}
    found = execute("Rollout Distributed", tmp_path, parameters, wanted)
    assert found.values["new"] >= 20
    assert found.values["new"] == replay.counts(RUN).timesteps - before.timesteps
    assert (found.values["killed"], found.values["restarts"], found.values["alive"]) == ([], 0, 0)
    assert "had to be killed" not in found.text
    workers = {episode.worker.split(".")[0] for episode in replay.episodes_after(RUN, {})}
    assert {"prepared", "notebook-0"} <= workers


@pytest.mark.mongo
@pytest.mark.s3
@pytest.mark.opensim
def test_train_distributed_trains_publishes_and_evaluates(replay: MongoReplay, s3_bucket: str, tmp_path: Path) -> None:
    wanted = {
        "updates": "learner['updates']",
        "version": "newest.number",
        "running_s": "learner['running_s']",
        "episodes": "len(episodes)",
        "killed": "killed",
    }
    found = execute("Train Distributed", tmp_path, {"RUN": RUN, "MINUTES": 1.5, "EVALUATIONS": 1}, wanted)
    assert found.values["updates"] > 50
    assert found.values["running_s"] > 0
    assert found.plots == 1
    assert found.values["episodes"] >= 8
    assert found.values["killed"] == []
    published = S3Checkpoints(s3_bucket).latest(RUN)
    assert published is not None
    assert published.number == found.values["version"] >= 1
    assert published.metadata["updates"] == found.values["updates"]
    means = [event["details"]["mean"] for event in replay.events(RUN, EVALUATED)]
    assert len(means) >= 1
    assert all(0 < mean <= 400 for mean in means)
    assert replay.lease_holder(RUN) is None


@pytest.mark.mongo
@pytest.mark.s3
@pytest.mark.opensim
def test_train_distributed_refuses_other_settings_for_an_existing_run(replay: MongoReplay, tmp_path: Path) -> None:
    parameters = {"RUN": RUN, "SETTINGS": ["learner.batch_size=999"]}
    with pytest.raises(CellExecutionError, match=r"run 'tiny' exists with .* a run keeps its settings"):
        execute("Train Distributed", tmp_path, parameters, {}, cells=slice(0, 5))


@pytest.mark.mongo
@pytest.mark.s3
@pytest.mark.opensim
def test_analyze_shows_what_is_in_the_log_and_finds_it_sound(replay: MongoReplay, tmp_path: Path) -> None:
    stored = sorted(replay.episodes_after(RUN, {}), key=lambda episode: episode.finished)[-6:]
    wanted = {
        "returns": "returns.value.tolist()",
        "reasons": "reasons",
        "counted": "histogram.counts.sum(axis=1).tolist()",
        "findings": "len(findings)",
    }
    found = execute("Analyze DB Timesteps", tmp_path, {"RUN": RUN, "EPISODES": 6}, wanted)
    assert found.values["returns"] == [episode.episode_return for episode in stored if episode.ended != ABORTED]
    assert sum(found.values["reasons"].values()) == 6
    assert found.values["counted"] == [sum(episode.length for episode in stored)] * 19
    assert found.values["findings"] == 0
    assert "nothing impossible" in found.text
    assert found.plots == 3


@pytest.mark.opensim
def test_integrator_accuracy_compares_speed_and_error(tmp_path: Path) -> None:
    parameters = {
        "NATIVE": {"BogackiShampine32": (1e-5,)},
        "INTEGRATORS": {"SemiExplicitEuler2": (1e-2,)},
        "SEEDS": (1,),
        "MOST_STEPS": 20,
    }
    wanted = {"rows": "[[one.name, one.steps_per_s, one.error_mm, one.steps] for one in results]"}
    found = execute("Test Integrator Accuracy", tmp_path, parameters, wanted)
    (peer, peer_speed, peer_error_mm, _), (native, speed, error_mm, steps), (opensim, _, fast_error_mm, _) = (
        found.values["rows"]
    )
    assert (peer, native, steps) == ("osim-rl 2.1.5", "native/BogackiShampine32/1e-05", 20)
    assert opensim == "opensim/SemiExplicitEuler2/0.01/1ms"
    assert speed > 5 * peer_speed
    assert 0 < error_mm < fast_error_mm < 50
    assert 0 < peer_error_mm < fast_error_mm
    assert found.plots == 1


def test_all_notebooks_exist_and_no_others() -> None:
    assert tuple(sorted(path.stem for path in FOLDER.glob("*.ipynb"))) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_thin_and_carries_no_outputs(name: str) -> None:
    text = (FOLDER / f"{name}.ipynb").read_text()
    notebook = load(name)
    nbformat.validate(notebook)
    assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith(f"# {name}\n")
    assert all(cell.id for cell in notebook.cells)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []
    assert [cell.id for cell in code if len(cell.source.splitlines()) > LONGEST_CELL] == []
    assert sum(len([line for line in cell.source.splitlines() if line.strip()]) for cell in code) <= MOST_CODE
    assert max(len(line) for cell in code for line in cell.source.splitlines()) <= 120
    tree = ast.parse("\n".join(cell.source for cell in code))
    assert [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)] == []
    assert "sys.path.insert" in code[0].source
    assert "agents.connections" in code[0].source
