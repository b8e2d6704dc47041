"""From the same networks and the same batches, Stable-Baselines3's TD3 and ours come to the same networks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from agents.ddpg import build_algorithm
from agents.ddpg.contract import Algorithm
from agents.experience import Batch
from infra.bench.curves.contract import Setting
from infra.bench.learner.contract import Case, Float32
from infra.bench.learner.peers import stable_baselines3 as peer
from tests.learning import with_arrays

SETTING = Setting(hidden=(8, 7), batch=16)
CASE = Case(SETTING.batch, 6, SETTING.hidden, transitions=400, action_size=3)
NETWORKS = {
    "actor.mu": "actor/network/body",
    "actor_target.mu": "actor/target/body",
    "critic.qf0": "critic/network/bodies.0",
    "critic.qf1": "critic/network/bodies.1",
    "critic_target.qf0": "critic/target/bodies.0",
    "critic_target.qf1": "critic/target/bodies.1",
}
"""Theirs and ours."""


class Handed:
    """In place of their buffer: gives the batch it was handed."""

    def __init__(self) -> None:
        self.rows: dict[str, Float32] = {}

    def sample(self, batch_size: int, env: Any) -> SimpleNamespace:
        names = {"observation": "observations", "action": "actions", "reward": "rewards", "done": "dones"}
        names["next_observation"] = "next_observations"
        columns = {theirs: torch.from_numpy(self.rows[name]) for name, theirs in names.items()}
        return SimpleNamespace(discounts=None, **columns)


def test_ours_and_theirs_make_the_same_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("stable_baselines3")
    models: list[Any] = []
    made = package.TD3.__init__

    def remembered(self: Any, *arguments: Any, **settings: Any) -> None:
        models.append(self)
        made(self, *arguments, **settings)

    monkeypatch.setattr(package.TD3, "__init__", remembered)
    monkeypatch.setattr(peer, "TARGET_NOISE", 0.0)
    update, ours = peer.stable_baselines3(CASE), _ours()
    (model,) = models
    model.replay_buffer = handed = Handed()
    _give(model, ours)
    for number, rows in enumerate(_batches(4)):
        handed.rows = rows
        update(1)
        ours.update(_batch(rows))
        for theirs, place in NETWORKS.items():
            for name, array in _ours_of(ours, place).items():
                found = model.policy.get_parameter(_theirs(theirs, name)).detach().numpy()
                np.testing.assert_allclose(found, array, rtol=1e-4, atol=1e-6, err_msg=f"{theirs}, update {number}")
    assert ours.updates == model._n_updates == 4


def _ours() -> Algorithm:
    """Of the learner benchmark's setting, without penalty and noise; larger final layers, so that it matters which
    critic says less."""
    settings = {"hidden": SETTING.hidden, "target_noise": 0.0, "action_penalty": 0.0}
    ours = build_algorithm("td3", CASE.observation_size, CASE.action_size, settings=settings, seed=1)
    with_arrays(ours, {name: 100 * array for name, array in ours.state().tensors.items() if "final" in name})
    return ours


def _batches(count: int) -> list[dict[str, Float32]]:
    content = next(CASE.content())
    batches = [{name: column[16 * i : 16 * (i + 1)] for name, column in content.items()} for i in range(count)]
    for rows in batches:
        rows["done"] = (np.arange(16)[:, None] % 5 == 0).astype(np.float32)
    return batches


def _batch(rows: dict[str, Float32]) -> Batch:
    ends = rows["done"][:, 0]
    return Batch(
        observation=rows["observation"],
        action=rows["action"],
        reward=rows["reward"][:, 0],
        discount=(SETTING.gamma * (1 - ends)).astype(np.float32),
        next_observation=rows["next_observation"],
        policy_version=np.zeros(len(ends), np.int64),
        weight=np.ones(len(ends), np.float32),
    )


def _ours_of(ours: Algorithm, place: str) -> dict[str, Any]:
    """Arrays of a network by `hidden.0.weight` and the like."""
    tensors = ours.state().tensors
    return {name.removeprefix(f"{place}."): array for name, array in tensors.items() if name.startswith(f"{place}.")}


def _theirs(network: str, name: str) -> str:
    """Their name of a parameter of ours: layers and ReLUs are counted together."""
    layer, _, part = name.rpartition(".")
    number = len(SETTING.hidden) if layer == "final" else int(layer.removeprefix("hidden."))
    return f"{network}.{2 * number}.{part}"


def _give(model: Any, ours: Algorithm) -> None:
    with torch.no_grad():
        for theirs, place in NETWORKS.items():
            for name, array in _ours_of(ours, place).items():
                model.policy.get_parameter(_theirs(theirs, name)).copy_(torch.tensor(array))
