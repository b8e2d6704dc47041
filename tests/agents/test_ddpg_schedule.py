"""Learning-rate schedules, hard copies of the targets and bfloat16: what they do to an algorithm, and resuming."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from agents.checkpoints.contract import Blob
from agents.ddpg import build_algorithm, build_config
from agents.ddpg.contract import AlgorithmConfig
from agents.ddpg.precision import use_precision
from agents.ddpg.schedule import Decay, Schedule
from agents.ddpg.trained import Trained
from agents.networks import Actor
from agents.plain import from_plain, to_plain
from tests.learning import random_batch, same_tensors

CPU = torch.device("cpu")


def test_a_rate_is_constant_unless_a_schedule_says_otherwise() -> None:
    assert [Schedule().factor(updates) for updates in (0, 1, 10**9)] == [1.0, 1.0, 1.0]


def test_warm_up_rises_in_equal_steps_and_never_stands_still() -> None:
    schedule = Schedule(warmup_updates=4)

    assert [schedule.factor(updates) for updates in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(("decay", "halfway"), [("linear", 0.6), ("cosine", 0.6), ("exponential", 0.2**0.5)])
def test_decay_begins_after_the_warm_up_and_ends_at_final_for_good(decay: Decay, halfway: float) -> None:
    schedule = Schedule(warmup_updates=10, decay=decay, decay_updates=100, final=0.2)

    assert schedule.factor(10) == 1.0
    assert schedule.factor(60) == pytest.approx(halfway)
    assert [schedule.factor(updates) for updates in (110, 111, 10**9)] == pytest.approx([0.2, 0.2, 0.2])


def test_a_quarter_of_a_cosine_is_less_of_the_way_than_a_quarter_of_a_line() -> None:
    cosine = Schedule(decay="cosine", decay_updates=100, final=0.0)

    assert cosine.factor(25) == pytest.approx((1 + np.sqrt(0.5)) / 2)
    assert cosine.factor(25) > Schedule(decay="linear", decay_updates=100, final=0.0).factor(25)


def test_a_final_above_one_makes_rates_grow() -> None:
    growing = Schedule(decay="exponential", decay_updates=6, final=1e6)

    assert [growing.factor(updates) for updates in range(7)] == pytest.approx([10.0**power for power in range(7)])


def test_warm_up_and_decay_begin_anew_at_every_restart() -> None:
    schedule = Schedule(warmup_updates=2, decay="linear", decay_updates=4, final=0.0, restart_updates=8)
    once = [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]

    assert [schedule.factor(updates) for updates in range(24)] == pytest.approx(3 * once)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decay": "sudden"}, "decay is 'sudden', needed one of constant, linear, cosine, exponential|must be"),
        ({"warmup_updates": -1}, "warmup_updates is -1, needed 0 or more"),
        ({"decay": "cosine"}, "decay_updates is None, a cosine decay needs at least 1"),
        ({"decay": "linear", "decay_updates": 0}, "decay_updates is 0"),
        ({"decay_updates": 10}, "a constant rate does not decay; name a decay"),
        ({"decay": "linear", "decay_updates": 5, "final": -0.1}, "final is -0.1"),
        ({"decay": "exponential", "decay_updates": 5, "final": 0.0}, "above 0 for an exponential decay"),
        ({"warmup_updates": 3, "restart_updates": 9}, "restart_updates is 9, but a constant rate has nothing"),
        (
            {"warmup_updates": 3, "decay": "linear", "decay_updates": 5, "restart_updates": 7},
            "restart_updates is 7, needed at least 8: the 3 of the warm-up and the 5 of the decay",
        ),
    ],
)
def test_schedules_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_config("td3", {"lr_schedule": settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_copy_updates": 0}, "target_copy_updates is 0, needed at least 1"),
        ({"target_copy_updates": 3}, "target_copy_updates is 3, needed a multiple of policy_delay = 2"),
        ({"precision": "float16"}, "float16"),
    ],
)
def test_targets_and_precisions_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_config("td3", settings)


def test_a_schedule_goes_out_with_the_configuration_and_comes_back() -> None:
    config = build_config("td3", {"lr_schedule": {"decay": "cosine", "decay_updates": 9}})

    assert config.lr_schedule == Schedule(decay="cosine", decay_updates=9)
    assert from_plain(type(config), json.loads(json.dumps(to_plain(config)))) == config


def test_adam_steps_by_the_rate_of_the_update() -> None:
    config = AlgorithmConfig(lr_schedule=Schedule(decay="linear", decay_updates=10, final=0.0))
    moved = []
    for updates in (0, 5, 9, 10):
        trained = Trained("line", nn.Linear(1, 1, bias=False), config, lr=0.1, device=CPU)
        (weight,) = trained.network.parameters()
        before = weight.item()
        trained.set_rate(updates)
        trained.descend(weight.sum(), torch.ones(()))
        moved.append(before - weight.item())

    assert moved == pytest.approx([0.1, 0.05, 0.01, 0.0], abs=1e-6), "Adam's first step is as long as its rate"


SETTINGS: dict[str, dict[str, Any]] = {
    "schedule": {"lr_schedule": {"warmup_updates": 4, "decay": "cosine", "decay_updates": 12}},
    "restarts": {"lr_schedule": {"decay": "cosine", "decay_updates": 5, "restart_updates": 6}},
    "copies": {"target_copy_updates": 6},
    "bfloat16": {"precision": "bfloat16"},
}


def algorithm(settings: dict[str, Any], seed: int = 1, name: str = "td3") -> Any:
    return build_algorithm(name, 5, 3, settings={"hidden": (8, 8), "critic_lr": 0.01, **settings}, seed=seed)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_resumed_run_goes_on_bit_for_bit(settings: dict[str, Any]) -> None:
    straight, stopped = algorithm(settings), algorithm(settings)
    for number in range(20):
        straight.update(random_batch(number))
    for number in range(9):
        stopped.update(random_batch(number))
    resumed = algorithm(settings, seed=2)
    resumed.restore(Blob(stopped.state().tensors, json.loads(json.dumps(stopped.state().metadata))))
    for number in range(9, 20):
        resumed.update(random_batch(number))

    assert same_tensors(resumed.state(), straight.state())
    plain = algorithm({})
    for number in range(20):
        plain.update(random_batch(number))
    assert not same_tensors(plain.state(), straight.state())


def parts(blob: Blob, kind: str) -> dict[str, Any]:
    marker = f"/{kind}/"
    return {name.replace(marker, "/"): array for name, array in blob.tensors.items() if marker in name}


@pytest.mark.parametrize("name", ["td3", "ddpg"])
def test_targets_are_copied_every_so_many_updates_and_stand_still_in_between(name: str) -> None:
    learner = algorithm({"target_copy_updates": 6}, name=name)
    target = parts(learner.state(), "target")
    for update in range(1, 13):
        learner.update(random_batch(update))
        state = learner.state()
        expected = parts(state, "network") if update % 6 == 0 else target
        target = parts(state, "target")
        assert all(np.array_equal(target[part], expected[part]) for part in expected), update


@pytest.mark.parametrize("name", ["td3", "simba"])
def test_bfloat16_rounds_hidden_layers_and_nothing_that_is_kept(name: str) -> None:
    hidden = {"hidden": (16,), "critic_hidden": (16,)} if name == "simba" else {"hidden": (16, 16)}
    exact = build_algorithm(name, 5, 3, settings=hidden, seed=1)
    rounded = build_algorithm(name, 5, 3, settings=hidden | {"precision": "bfloat16"}, seed=1)
    found = [one.update(random_batch(0, 64)) for one in (exact, rounded)]
    for number in range(1, 20):
        rounded.update(random_batch(number))

    assert found[0]["critic/loss"] != found[1]["critic/loss"]
    assert found[0]["critic/loss"] == pytest.approx(found[1]["critic/loss"], rel=0.02)
    kinds = {array.dtype for part, array in rounded.state().tensors.items() if part != "generator"}
    assert kinds == {np.dtype(np.float32)}


def test_the_last_layer_is_not_rounded() -> None:
    actor, inputs = Actor(5, 3, (16, 16), generator=torch.Generator().manual_seed(0)), torch.ones(1, 5)
    use_precision(actor, "bfloat16", CPU)
    drive = actor.drive(inputs)

    assert drive.dtype == torch.float32
    assert not torch.equal(drive, drive.bfloat16().float())


def test_a_gpu_that_only_imitates_bfloat16_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def has_it(*_: Any, **how: Any) -> bool:
        return bool(how["including_emulation"])

    def name(*_: Any) -> str:
        return "Old GPU"

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", has_it)
    monkeypatch.setattr(torch.cuda, "get_device_name", name)
    actor = Actor(5, 3, (4,))
    use_precision(actor, "float32", torch.device("cuda"))
    with pytest.raises(ValueError, match="the device Old GPU does not have it; use float32"):
        use_precision(actor, "bfloat16", torch.device("cuda"))
