"""Our learner as it trains a run: the mirror, the running normaliser, the update, the priorities."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from agents.config import RunConfig
from agents.ddpg import build_algorithm
from agents.device_learner import DeviceLearner
from agents.huge_pages import use_huge_pages
from agents.learner import Learner
from agents.policy import PolicyContract
from agents.replay.columns import Timesteps
from agents.replay.derivation import Derivation
from agents.replay.mirror import Mirror
from agents.replay.ring import Ring
from agents.replay.runs import Episode, EpisodeStart
from agents.replay.sampling import build_sampler
from infra.bench.learner.contract import GAMMA, Case, Float32, Update

_TIMESTEPS = 100
"""Of each episode in the mirror; every control step is a decision."""
_UNTIL_RECORDED = 20
"""Updates after which a learner on a GPU has compiled and recorded all that it does."""


def ours(case: Case) -> Update:
    """`Learner.learn` of TD3 with its default settings."""
    return _updates(build(case))


def ours_mixed(case: Case) -> Update:
    """The same, hidden layers in bfloat16."""
    return _updates(build(case, precision="bfloat16"))


def build(case: Case, **settings: Any) -> Learner:
    """As `agents.build.build_learner` does it, with a full mirror, in a process whose memory is as a learner's.

    `settings`: of TD3.
    """
    use_huge_pages()
    algorithm = build_algorithm(
        "td3",
        case.observation_size,
        case.action_size,
        settings={"hidden": case.hidden, **settings},
        device=case.device,
    )
    contract = PolicyContract(
        layout_sha256="0" * 64,
        observation="bench/1",
        observation_size=case.observation_size,
        action_size=case.action_size,
        frame_skip=1,
        bins=None,
        action_names=tuple(f"muscle_{number}" for number in range(case.action_size)),
        task="bench",
    )
    config, mirror = RunConfig.of({"learner": {"batch_size": case.batch}}), _mirror(case)
    if case.device == "cpu":
        return Learner(config, algorithm, mirror, contract)
    return DeviceLearner(config, algorithm, mirror, contract, compiled=True)


def _updates(learner: Learner) -> Update:
    def update(count: int) -> None:
        for _ in range(count):
            learner.learn()

    update(_UNTIL_RECORDED)
    return update


def _mirror(case: Case) -> Mirror:
    """Of episodes whose states are seen as they are: what it derives when they enter is not measured here."""
    derive = Derivation(
        state_size=case.observation_size,
        action_size=case.action_size,
        observe=lambda states, age_s: states[:, -1],
        observation_size=case.observation_size,
        history=0,
        target_age=lambda states, first: np.zeros(len(states), np.float32),
        training_reward=lambda steps: steps.reward,
        gamma=GAMMA,
        n_step=1,
    )
    ring = Ring(case.transitions, case.observation_size, case.action_size)
    mirror = Mirror(ring, derive, build_sampler("uniform", {}, ring))
    taken = 0
    for content in case.content():
        steps = _timesteps(content, taken)
        mirror.append(steps.episodes, steps)
        taken += len(steps.episodes)
    return mirror


def _timesteps(content: dict[str, Float32], number: int) -> Timesteps:
    """Episodes, numbered from `number`, that go through the observations one after the other."""
    count = len(content["reward"])
    first = np.arange(0, count, _TIMESTEPS)
    ends = np.append(first[1:], count)
    decision, terminated = np.ones(count, np.bool_), np.zeros(count, np.bool_)
    decision[first], terminated[ends - 1] = False, True
    return Timesteps(
        episodes=[_episode(number + i, length - 1) for i, length in enumerate((ends - first).tolist())],
        first=first,
        state=content["observation"],
        excitation=np.divide(content["action"] + 1, 2, dtype=np.float32),
        policy_action=content["action"],
        decision=decision,
        reward=content["reward"][:, 0].astype(np.float64),
        terminated=terminated,
        truncated=np.zeros(count, np.bool_),
        policy_version=np.full(count, number),
    )


def _episode(number: int, length: int) -> Episode:
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    return Episode(
        id=number,
        run="bench",
        worker="bench",
        writer=0,
        start=EpisodeStart(seed=0, policy_version=0),
        length=length,
        episode_return=0.0,
        reward_terms={},
        ended="fall",
        terminated=True,
        truncated=False,
        step_ms_mean=0.0,
        started=moment,
        finished=moment,
    )
