"""A share of every batch with left and right exchanged: which rows, what is in them, and that nothing else changes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from agents.build import build_learner
from agents.config import RunConfig
from agents.experience import Batch
from agents.memory import build_derivation, build_memory, layout_of
from agents.plain import ConfigError
from agents.replay.columns import Timesteps
from agents.replay.memory import MemoryReplay
from agents.replay.mirror import Mirror
from agents.replay.mixture import Mixture
from agents.replay.reflected import Reflected
from agents.replay.ring import Ring
from agents.replay.runs import Run
from agents.replay.sampling import SAMPLERS, build_sampler
from environment.reflection import Reflection
from tests.falls import stored_falls
from tests.runs import RUN, small_config

GENERATOR = np.random.default_rng
REFLECTED = 1 << 62
Stored = tuple[MemoryReplay, Run, Run]
"""The log, and the two runs in it."""
COLUMNS = [field.name for field in dataclasses.fields(Batch) if field.name != "number"]


def configured(replay: dict[str, Any], **environment: Any) -> RunConfig:
    plain = small_config("prosthetics-round2").plain()
    plain["environment"] |= environment
    plain["replay"] |= replay
    return RunConfig.of(plain)


@pytest.fixture(scope="module")
def stored() -> Stored:
    """No test changes them."""
    replay, (own, other) = stored_falls(configured({}), (RUN, "old"))
    return replay, own, other


def drawn(memory: Any, size: int = 64, seed: int = 0) -> tuple[Batch, Any]:
    """A batch, and which of its rows are reflected."""
    batch = memory.sample(size, GENERATOR(seed))
    return batch, batch.number >= REFLECTED


def test_without_a_share_the_memory_is_what_it_was(stored: Stored) -> None:
    assert isinstance(build_memory(configured({"reflected_share": 0.0}), stored[1]), Mirror)


@pytest.mark.parametrize("sampling", list(SAMPLERS))
@pytest.mark.parametrize("observation", ["compact", "original"])
def test_that_share_of_every_batch_is_reflected_and_the_rest_is_what_is_drawn_without_it(
    stored: Stored, observation: str, sampling: str
) -> None:
    plain = configured({"sampling": {"name": sampling}, "mirror_floats": "float16"}, observation=observation)
    replay, run, _ = stored
    without, memory = (
        build_memory(plain, run),
        build_memory(configured(plain.plain()["replay"] | {"reflected_share": 0.25}, observation=observation), run),
    )
    for one in (without, memory):
        one.follow(replay, RUN)
    assert isinstance(memory, Reflected)
    (expected, _), (batch, reflected) = drawn(without), drawn(memory)
    assert reflected.sum() == 16
    assert batch.number is not None
    assert 0 < np.flatnonzero(reflected)[0] + 1 < 64 - np.flatnonzero(reflected[::-1])[0], "somewhere in the batch"
    np.testing.assert_array_equal(batch.number & (REFLECTED - 1), expected.number)
    for name in COLUMNS:
        was, found = getattr(expected, name), getattr(batch, name)
        np.testing.assert_array_equal(found[~reflected], was[~reflected], err_msg=name)
        if name in ("observation", "next_observation", "action"):
            change = memory.exchange.action if name == "action" else memory.exchange.observation
            np.testing.assert_array_equal(found[reflected], change(was[reflected]), err_msg=name)
            assert (found[reflected] != was[reflected]).any()
        else:
            np.testing.assert_array_equal(found[reflected], was[reflected], err_msg=name)


@pytest.mark.parametrize("hindsight", [False, True])
def test_reflected_rows_are_those_of_timesteps_whose_states_and_excitations_were_reflected_before(
    stored: Stored, hindsight: bool
) -> None:
    share = {"hindsight_share": 1.0} if hindsight else {}
    config = configured({"n_step": 3, "reflected_share": 0.5, **share}, observation="original")
    replay, run, _ = stored
    memory = build_memory(config, run)
    memory.follow(replay, RUN)
    states, muscles = Reflection(layout_of(run).names), Reflection(run.action_names)
    derive = build_derivation(config, run, hindsight=hindsight)

    def exchanged(steps: Timesteps) -> Timesteps:
        return dataclasses.replace(steps, state=states(steps.state), excitation=muscles(steps.excitation))

    before = dataclasses.replace(derive, seen_as=lambda steps: derive.seen_as(exchanged(steps)))
    ring = Ring(5_000, derive.observation_size, derive.action_size)
    other = Mirror(ring, before, build_sampler("uniform", {}, ring))
    other.follow(replay, RUN)
    (batch, reflected), (expected, _) = drawn(memory), drawn(other)
    assert reflected.sum() == 32
    for name in COLUMNS:
        wanted, found = getattr(expected, name)[reflected], getattr(batch, name)[reflected]
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5, err_msg=name)
    assert not np.allclose(batch.observation[~reflected], expected.observation[~reflected])


def test_of_a_mixture_any_part_is_reflected_and_errors_of_reflected_rows_are_not_told(stored: Stored) -> None:
    replay, own, other = stored
    wanted = {"partitions": {"old": 0.5}, "sampling": {"name": "prioritised"}, "reflected_share": 0.25}
    memory = build_memory(configured(wanted), own, [other])
    memory.follow(replay, RUN)
    batch, reflected = drawn(memory)
    assert isinstance(memory, Reflected)
    assert isinstance(memory.memory, Mixture)
    assert batch.number is not None
    part = (batch.number & (REFLECTED - 1)) >> 56
    assert set(part[reflected]) == {0, 1}
    memory.learned(batch.number, np.where(reflected, 1e6, 1e-6).astype(np.float32))
    kept = np.concatenate([values for name, values in memory.state_dict().items() if name.endswith("priorities")])
    assert kept.max() == 1.0, "an error of 1e6 was told"
    told = (kept > 0) & (kept < 0.5)  # an episode's end has none
    assert told.sum() == len(np.unique(batch.number[~reflected])), "the others were"


@pytest.mark.parametrize("sampling", ["uniform", "prioritised"])
def test_a_learner_resumes_with_the_same_batches_and_updates(stored: Stored, sampling: str) -> None:
    config = configured({"reflected_share": 0.25, "sampling": {"name": sampling}})
    replay, run, _ = stored
    learner, resumed = build_learner(config, run), build_learner(config, run)
    learner.mirror.follow(replay, RUN)
    for _ in range(4):
        learner.learn()
    resumed.restore(learner.state(), replay, RUN)
    for _ in range(4):
        learner.learn()
        resumed.learn()
    after, again = learner.state(), resumed.state()
    assert after.metadata["sampling"] == again.metadata["sampling"]
    for name, array in after.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], array, err_msg=name)
    other = build_learner(configured({"sampling": {"name": sampling}}), run)
    other.restore(learner.state(), replay, RUN)  # a run may begin or cease to do it
    other.learn()


@pytest.mark.parametrize("share", [-0.1, 0.6, float("nan")])
def test_shares_that_are_none_are_refused(share: Any) -> None:
    with pytest.raises(ConfigError, match=r"reflected_share=.* must be in 0\.\.0\.5"):
        configured({"reflected_share": share})


@pytest.mark.parametrize("environment", [{"clock": [1.2, 0.3]}, {"motion": "walk.csv", "imitation": 0.7}])
def test_a_motion_whose_phase_has_no_mirror_image_is_refused(environment: dict[str, Any]) -> None:
    configured({}, **environment)
    with pytest.raises(ConfigError, match=r"phase of a motion .* has no mirror image"):
        configured({"reflected_share": 0.25}, **environment)
