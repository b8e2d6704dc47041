"""Reflected rows where the memory lies on the device that learns. Without a GPU the device is the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.build import contract_of
from agents.config import RunConfig
from agents.ddpg import build_algorithm, build_config
from agents.device_learner import DeviceLearner
from agents.device_reflection import DeviceExchange
from agents.memory import build_memory
from agents.replay.memory import MemoryReplay
from agents.replay.mirror import Mirror
from agents.replay.reflected import Reflected
from agents.replay.runs import Run
from tests.falls import stored_falls
from tests.learning import same_tensors
from tests.runs import RUN, small_config

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BATCH = 64


def configured(**replay: Any) -> RunConfig:
    plain = small_config("prosthetics-round2", batch_size=BATCH).plain()
    plain["replay"] |= replay
    return RunConfig.of(plain)


@pytest.fixture(scope="module")
def stored() -> tuple[MemoryReplay, Run]:
    """No test changes it."""
    replay, runs = stored_falls(configured(), (RUN,))
    return replay, runs[0]


def memory_of(stored: tuple[MemoryReplay, Run], config: RunConfig) -> Reflected:
    memory = build_memory(config, stored[1])
    memory.follow(stored[0], RUN)
    assert isinstance(memory, Reflected)
    return memory


def learner(stored: tuple[MemoryReplay, Run], config: RunConfig, *, filled: bool = True) -> DeviceLearner:
    contract = contract_of(stored[1], config)
    algorithm = build_algorithm(
        "td3",
        contract.observation_size,
        contract.action_size,
        settings=build_config("td3", {"hidden": [16]}),
        device=DEVICE,
        seed=1,
    )
    memory = memory_of(stored, config) if filled else build_memory(config, stored[1])
    assert isinstance(memory, Reflected)
    assert isinstance(memory.memory, Mirror)
    return DeviceLearner(config, algorithm, memory.memory, contract, exchange=memory.exchange)


def test_the_first_rows_are_what_the_host_makes_of_them_and_the_others_stay(stored: tuple[MemoryReplay, Run]) -> None:
    memory = memory_of(stored, configured(reflected_share=0.25))
    batch = memory.memory.sample(BATCH, np.random.default_rng(0))
    names = ("observation", "next_observation", "action", "reward")
    columns = {name: torch.from_numpy(getattr(batch, name)).to(DEVICE) for name in names}
    found = DeviceExchange(memory.exchange, BATCH, DEVICE)(columns)
    for name in names:
        was, is_now = getattr(batch, name), found[name].cpu().numpy()
        np.testing.assert_array_equal(is_now[16:], was[16:])
        change = memory.exchange.action if name == "action" else memory.exchange.observation
        np.testing.assert_array_equal(is_now[:16], was[:16] if name == "reward" else change(was[:16]), err_msg=name)


def test_a_learner_that_sees_half_of_all_reflected_sees_neither_left_nor_right(
    stored: tuple[MemoryReplay, Run],
) -> None:
    config = configured(reflected_share=0.5)
    exchange = memory_of(stored, config).exchange
    one = learner(stored, config)
    for _ in range(150):
        one.learn()
    one.policy()  # the normaliser then knows what the device has seen
    statistics = one.normaliser.state_dict()
    mean, spread = statistics["mean"], np.sqrt(statistics["squares"] / statistics["count"]) + 1e-9
    difference = np.abs(mean - exchange.observation(mean)) / spread
    assert difference.max() < 0.1, "the mean is its own mirror image"
    batch = memory_of(stored, config).memory.sample(BATCH, np.random.default_rng(0)).observation
    assert np.abs(batch.mean(axis=0) - exchange.observation(batch.mean(axis=0))).max() > 0.1


@pytest.mark.parametrize("sampling", ["uniform", "prioritised"])
def test_it_resumes_to_the_bit_and_errors_of_reflected_rows_are_not_told(
    stored: tuple[MemoryReplay, Run], sampling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(reflected_share=0.25, sampling={"name": sampling})
    one, other = learner(stored, config), learner(stored, config, filled=False)
    told: list[int] = []
    tell = one.mirror.learned

    def listening(number: Any, td_error: Any) -> None:
        assert len(number) == len(td_error)
        told.append(len(number))
        tell(number, td_error)

    monkeypatch.setattr(one.mirror, "learned", listening)
    for _ in range(3):
        one.learn()
    assert told == ([48] * 3 if sampling == "prioritised" else [])
    other.restore(one.state(), stored[0], RUN)
    for each in (one, other):
        for _ in range(3):
            each.learn()
    assert same_tensors(one.state(), other.state())
