"""The learner benchmark: everyone learns the same, and is compared right; nothing here judges a speed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
import torch

from agents.ddpg import build_algorithm
from agents.experience import Batch
from infra.bench.learner import report
from infra.bench.learner.contract import GAMMA, Build, Case, Float32
from infra.bench.learner.ours import build
from infra.bench.learner.peers import eager as eager_loop
from infra.bench.learner.peers.compiled import compiled
from infra.bench.learner.peers.eager import Loop, eager
from infra.bench.learner.peers.stable_baselines3 import stable_baselines3
from infra.bench.learner.peers.torchrl import torchrl
from infra.bench.learner.processes import INSTALL, Player, updates_per_s
from infra.bench.learner.sizes import QUICK, Sizes
from infra.bench.report import table
from tests.learning import with_arrays

SMALL = Case(16, 6, (8, 7), transitions=500, action_size=3)


def test_content_is_the_same_for_everyone_and_of_the_asked_size() -> None:
    case = Case(16, 6, (8,), transitions=12_345, action_size=3)
    first, again = list(case.content()), list(case.content())
    assert sum(len(part["reward"]) for part in first) == 12_345
    assert {name: array.shape[1] for name, array in first[0].items()} == {
        "observation": 6, "action": 3, "reward": 1, "next_observation": 6, "done": 1,
    }  # fmt: skip
    for part, other in zip(first, again, strict=True):
        assert all(np.array_equal(part[name], other[name]) for name in part)
        assert all(array.dtype == np.float32 for array in part.values())


def test_our_mirror_holds_the_content_and_every_update_samples_it() -> None:
    learner = build(SMALL)
    assert learner.mirror.timesteps == SMALL.transitions
    assert learner.mirror.transitions == SMALL.transitions - 5, "the end of each of five episodes starts none"
    content = list(SMALL.content())
    seen = {row.tobytes() for part in content for row in part["observation"]}
    batch = learner.mirror.sample(200, np.random.default_rng(0))
    assert {row.tobytes() for row in (*batch.observation, *batch.next_observation)} <= seen
    learner.learn()
    assert (learner.updates, learner.normaliser.count) == (1, SMALL.batch)


def test_the_eager_loop_and_our_td3_make_the_same_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager_loop, "TARGET_NOISE", 0.0)
    ours = build_algorithm(
        "td3", 6, 3, settings={"hidden": SMALL.hidden, "target_noise": 0.0, "action_penalty": 0.0}, seed=1
    )
    # Larger final layers, so that it matters which critic says less.
    with_arrays(ours, {name: 100 * array for name, array in ours.state().tensors.items() if "final" in name})
    loop = Loop(SMALL)
    networks = {"actor": "actor/{}/body", "q1": "critic/{}/bodies.0", "q2": "critic/{}/bodies.1"}
    for name, place in networks.items():
        for of, prefix in (("network", ""), ("target", "target_")):
            _set(getattr(loop, prefix + name), ours.state().tensors, place.format(of))
    content = next(SMALL.content())
    for update in range(4):
        rows = {name: column[20 * update : 20 * update + 16] for name, column in content.items()}
        rows["done"] = (np.arange(16)[:, None] % 5 == 0).astype(np.float32)
        ours.update(_batch(rows))
        batch = {name: torch.from_numpy(column) for name, column in rows.items()}
        loop.fit_critics(batch)
        if update % 2 == 1:
            loop.improve_actor(batch["observation"])
            loop.follow()
    tensors = ours.state().tensors
    for name, place in networks.items():
        for of, prefix in (("network", ""), ("target", "target_")):
            for array, parameter in zip(
                _arrays(tensors, place.format(of)), getattr(loop, prefix + name).parameters(), strict=True
            ):
                np.testing.assert_allclose(parameter.detach().numpy(), array, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("make", [eager, partial(eager, mixed=True), compiled, stable_baselines3, torchrl])
def test_every_peer_steps_its_critics_each_time_and_its_actor_every_second(
    make: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    if make in (stable_baselines3, torchrl):
        pytest.importorskip(make.__name__)
    monkeypatch.setattr(torch, "compile", lambda function: function)
    steps: Counter[int] = Counter()
    step = torch.optim.Adam.step

    def counted(self: torch.optim.Adam, closure: Callable[[], float] | None = None) -> Any:
        steps[id(self)] += 1
        return step(self, closure)

    monkeypatch.setattr(torch.optim.Adam, "step", counted)
    update = make(SMALL)
    steps.clear()
    update(6)
    assert sorted(steps.values()) == [3, 6]


class Fake:
    """Does so many updates per second in each turn."""

    def __init__(self, *rates: float) -> None:
        self.rates = list(rates)

    def start(self, case: Case) -> Future[None]:
        found: Future[None] = Future()
        if self.rates:
            found.set_result(None)
        else:
            found.set_exception(ImportError("No module named 'absent'"))
        return found

    def turn(self, most_s: float) -> float:
        return self.rates.pop(0)


def test_medians_count_and_a_peer_that_is_not_installed_is_named() -> None:
    playing = cast(dict[str, Player], {"a": Fake(1.0, 9.0, 2.0), "absent": Fake(), "b": Fake(5.0, 4.0, 3.0)})
    missing: dict[str, str] = {}
    assert updates_per_s(playing, SMALL, 3, 1.0, missing) == {"a": 2.0, "b": 4.0}
    assert missing == {"absent": f"No module named 'absent'; {INSTALL}"}
    assert list(playing) == ["a", "b"]


@pytest.mark.slow
def test_a_player_in_a_process_of_its_own_plays_one_case_after_the_other() -> None:
    player = Player(eager, threads=1)
    try:
        for case in (SMALL, Case(8, 5, (4,), transitions=100, action_size=2)):
            player.start(case).result()
            assert player.turn(0.01) > 0
    finally:
        player.end()


def test_only_the_asked_batch_is_judged_and_by_the_fastest_peer() -> None:
    rates = {"float32": 30.0, "bfloat16": 50.0, "slow": 5.0, "fast": 20.0}
    plain, mixed = report._rows(Case(256, 6, (8,)), 2, rates, ["slow", "fast", "absent"], [], report.OF_FASTEST)
    assert plain["name"] == "cpu, 2 threads, batch 256, observation 6, networks 8, float32"
    assert (plain["ratio"], plain["reached"], plain["fastest"]) == (1.5, "floor", "fast")
    assert (mixed["ratio"], mixed["reached"]) == (2.5, "goal")
    assert (plain["slow"], plain["fast"], plain["absent"]) == (5.0, 20.0, None)
    (other, _) = report._rows(Case(100, 6, (8,)), 1, rates, ["slow", "fast"], [], report.OF_FASTEST)
    assert (other["ratio"], other["floor"], other["reached"]) == (1.5, None, None)
    (alone, _) = report._rows(Case(256, 6, (8,)), 1, rates, [], [], report.OF_FASTEST)
    assert (alone["ratio"], alone["reached"], alone["peer"]) == (None, None, "no peer")


def test_a_peer_in_bfloat16_counts_beside_ours_in_bfloat16_alone() -> None:
    rates = {"float32": 30.0, "bfloat16": 50.0, "plain": 20.0, "mixed": 40.0}
    plain, mixed = report._rows(Case(256, 6, (8,)), 1, rates, ["plain"], ["mixed"], report.OF_FASTEST)
    assert (plain["ratio"], plain["fastest"]) == (1.5, "plain")
    assert (mixed["ratio"], mixed["fastest"]) == (1.25, "mixed")


def test_the_whole_benchmark_has_every_asked_case() -> None:
    cases = list(Sizes().cases())
    assert {case.batch for case in cases} == {100, 256, 4096}
    assert {case.observation_size for case in cases} == {189, 1260}
    assert {case.hidden for case in cases} == {(400, 300), (1024, 512)}
    assert len(cases) == 12
    assert {case.batch for case in QUICK.cases()} == {256}
    assert all(case.piece % 2 == 0 for case in cases), "whole pairs of updates"


def test_the_report_names_the_device_and_what_was_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rows = report._rows(
        Case(256, 6, (8,)), 1, {"float32": 3.0, "bfloat16": 4.0, "p": 2.0}, ["p"], [], report.OF_FASTEST
    )
    monkeypatch.setattr(report, "measure", lambda sizes, missing: missing.update(q="not here") or list(rows))
    result = report.learner(quick=True)
    assert result["machine"]["device"] == "cpu"
    assert "Without q: not here." in result["about"]
    assert "No GPU here" in result["about"]
    assert json.loads(json.dumps(result, allow_nan=False))["rows"] == rows
    assert "updates/s" in table(result)


def _batch(rows: dict[str, Float32]) -> Batch:
    count = len(rows["reward"])
    return Batch(
        observation=rows["observation"],
        action=rows["action"],
        reward=rows["reward"][:, 0],
        discount=(GAMMA * (1 - rows["done"][:, 0])).astype(np.float32),
        next_observation=rows["next_observation"],
        policy_version=np.zeros(count, np.int64),
        weight=np.ones(count, np.float32),
    )


def _arrays(tensors: Any, place: str) -> list[Float32]:
    """Weight and bias of every layer, first to last."""
    layers = [*(f"hidden.{layer}" for layer in range(len(SMALL.hidden))), "final"]
    return [tensors[f"{place}.{layer}.{part}"] for layer in layers for part in ("weight", "bias")]


def _set(network: torch.nn.Module, tensors: Any, place: str) -> None:
    with torch.no_grad():
        for array, parameter in zip(_arrays(tensors, place), network.parameters(), strict=True):
            parameter.copy_(torch.tensor(array))
