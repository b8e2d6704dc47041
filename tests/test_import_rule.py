"""infra -> agents -> environment -> nothing here; and each heavy package has one home."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOUSE = ("environment", "agents", "infra")
MAY_IMPORT = {"environment": {"environment"}, "agents": {"agents", "environment"}, "infra": set(HOUSE)}
HOMES = {
    "opensim": (
        "environment/physics/opensim.py",
        # An oracle asks OpenSim at states that no simulator's contract lets anyone put it into.
        "infra/bench/fidelity/oracle.py",
        "infra/bench/fidelity/probe.py",
    ),
    "osim": ("infra/bench/osim_rl_peer.py",),  # a peer to measure and compare with, never a part of ours
    "pymongo": ("agents/replay/", "infra/services/", "infra/bench/replay/", "infra/faults/"),
    "bson": ("agents/replay/", "infra/services/", "infra/faults/"),
    "boto3": ("agents/checkpoints/", "infra/services/"),
    "botocore": ("agents/checkpoints/", "infra/services/"),
    # Loops to measure ours beside are written in it; a run of theirs and ours has one thread.
    "torch": ("agents/", "infra/bench/learner/", "infra/bench/curves/"),
    # Tasks that others know, to learn as they do.
    "gymnasium": ("environment/", "infra/bench/curves/tasks.py"),
    "pyarrow": ("agents/replay/data/",),
    "minari": ("agents/replay/data/",),
    "rich": ("infra/",),
    # What draws knows states; nothing that acts or learns knows what draws.
    "pyvista": ("environment/rendering/",),
    "vtkmodules": ("environment/rendering/",),
    "av": ("environment/rendering/",),
    "viser": ("environment/rendering/",),
}
LOOPS = (
    "agents/actor.py",
    "agents/batch_actor.py",
    "agents/learner.py",
    "agents/evaluator.py",
    "agents/batch_evaluator.py",
)
CHOICES = (
    "agents.build",
    "agents.replay.mongo",
    "agents.replay.memory",
    "agents.checkpoints.s3",
    "agents.checkpoints.memory",
    "environment.physics",
)


def imports(source: str) -> Iterator[str]:
    """Dotted names of everything that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def broken_rules(path: str, source: str) -> list[str]:
    """What a file at `path` imports against the rule."""
    found = []
    for name in imports(source):
        top = name.split(".")[0]
        if top in (*HOUSE, "tests", "notebooks") and top not in MAY_IMPORT[path.split("/")[0]]:
            found.append(f"{path} imports {name}")
        if top in HOMES and not any(path.startswith(home) for home in HOMES[top]):
            found.append(f"{path} imports {name}, whose home is {HOMES[top] or 'the tests'}")
        if path in LOOPS and any(name.startswith(choice) for choice in CHOICES) and "contract" not in name:
            found.append(f"{path} is a loop and knows contracts only, but imports {name}")
    return found


def modules() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for top in HOUSE for path in (ROOT / top).rglob("*.py"))


@pytest.mark.parametrize("path", modules())
def test_module_keeps_the_import_rule(path: str) -> None:
    assert broken_rules(path, (ROOT / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("environment/actions.py", "import agents.policy"),
        ("agents/policy.py", "from infra.settings import Settings"),
        ("environment/rewards.py", "import torch"),
        ("agents/worker.py", "def late():\n    import opensim"),
        ("infra/run.py", "from pymongo import MongoClient"),
        ("environment/targets.py", "from osim.env import ProstheticsEnv"),
        ("agents/actor.py", "from agents.replay.mongo import MongoReplay"),
        ("agents/learner.py", "from agents import build"),
        ("agents/learner.py", "import tests.fakes"),
    ],
)
def test_a_planted_violation_is_found(path: str, source: str) -> None:
    assert broken_rules(path, source) != []


def test_every_part_of_the_house_is_checked() -> None:
    found = modules()
    assert len(found) > 40
    assert {path.split("/")[0] for path in found} == set(HOUSE)
