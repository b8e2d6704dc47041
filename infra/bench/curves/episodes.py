"""Gymnasium's episodes as timesteps of the log, and the mirror that is fed with them."""

from __future__ import annotations

import datetime

import numpy as np

from agents.replay.columns import Timesteps
from agents.replay.derivation import Derivation
from agents.replay.mirror import Mirror
from agents.replay.ring import Ring
from agents.replay.runs import Episode, EpisodeStart
from agents.replay.sampling import build_sampler
from infra.bench.curves.contract import Float32


class Recording:
    """An open episode: every step is a decision, and what was seen is the state."""

    def __init__(self, observation: Float32) -> None:
        self._seen = [observation]
        self._actions: list[Float32] = []
        self._rewards: list[float] = []

    def __len__(self) -> int:
        """Steps so far."""
        return len(self._rewards)

    def add(self, action: Float32, reward: float, observation: Float32) -> None:
        """`action` (M,) in [-1, 1], and the reward and observation (O,) it led to."""
        self._actions.append(action)
        self._rewards.append(reward)
        self._seen.append(observation)

    def timesteps(self, number: int, *, terminated: bool) -> Timesteps:
        """The episode, ended by the task (`terminated`) or by its time limit."""
        rows = len(self._seen)
        action = np.stack([np.zeros_like(self._actions[0]), *self._actions])
        decision, ends = np.ones(rows, np.bool_), np.zeros(rows, np.bool_)
        decision[0], ends[-1] = False, True
        return Timesteps(
            episodes=[_episode(number, self._rewards, terminated)],
            first=np.zeros(1, np.int64),
            state=np.stack(self._seen).astype(np.float32),
            excitation=np.divide(action + 1, 2, dtype=np.float32),
            policy_action=action,
            decision=decision,
            reward=np.array([0.0, *self._rewards]),
            terminated=ends & terminated,
            truncated=ends & (not terminated),
            policy_version=np.full(rows, number),
        )


def mirror_for(steps: int, observation_size: int, action_size: int, *, gamma: float, reward_scale: float) -> Mirror:
    """Uniform, with room for `steps` steps even if each were an episode."""
    derive = Derivation(
        state_size=observation_size,
        action_size=action_size,
        observe=lambda states, age_s: states[:, -1],
        observation_size=observation_size,
        history=0,
        target_age=lambda states, first: np.zeros(len(states), np.float32),
        training_reward=lambda timesteps: reward_scale * timesteps.reward,
        gamma=gamma,
        n_step=1,
    )
    ring = Ring(2 * steps, observation_size, action_size)
    return Mirror(ring, derive, build_sampler("uniform", {}, ring))


def _episode(number: int, rewards: list[float], terminated: bool) -> Episode:
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    return Episode(
        id=number,
        run="bench",
        worker="bench",
        writer=0,
        start=EpisodeStart(seed=0, policy_version=number),
        length=len(rewards),
        episode_return=sum(rewards),
        reward_terms={},
        ended="fall" if terminated else "time_limit",
        terminated=terminated,
        truncated=not terminated,
        step_ms_mean=0.0,
        started=moment,
        finished=moment,
    )
