"""Our TD3 with our mirror: whole episodes enter, and are learned from."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from agents.ddpg import build_algorithm
from agents.exploration.gaussian import GaussianNoise
from agents.normalisation import RunningNormaliser
from agents.replay.mirror import Mirror
from infra.bench.curves.contract import Curve, Float32, Setting, Task
from infra.bench.curves.episodes import Recording, mirror_for
from infra.bench.curves.tasks import Scores, make, sizes_of


@dataclass(frozen=True, kw_only=True)
class Form:
    """What differs between the paper's algorithm and what a run of ours learns with."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of TD3, beside those that everyone has."""
    normalise: bool
    reward_scale: float


PAPER = Form(settings={"action_penalty": 0.0, "final_bound": None}, normalise=False, reward_scale=1.0)
AS_RUNS = Form(normalise=True, reward_scale=0.1)
"""The defaults of `agents.config` and `agents.ddpg`, the actor's penalty among them."""


def ours(task: Task, setting: Setting, seed: int) -> Curve:
    """The paper's algorithm: no penalty for drive, observations and rewards as they are."""
    return learn(task, setting, seed, PAPER)


def ours_as_runs(task: Task, setting: Setting, seed: int) -> Curve:
    """As runs of ours train: drive is penalised, observations are normalised, rewards scaled."""
    return learn(task, setting, seed, AS_RUNS)


class Learning:
    """The algorithm and what it sees; `act` is its policy of now."""

    def __init__(self, sizes: tuple[int, int], mirror: Mirror, setting: Setting, seed: int, form: Form) -> None:
        """`sizes`: of observation and action."""
        self.mirror = mirror
        self.algorithm = build_algorithm(
            "td3",
            *sizes,
            settings={
                "hidden": setting.hidden,
                "actor_lr": setting.learning_rate,
                "critic_lr": setting.learning_rate,
                "tau": setting.tau,
                "policy_delay": setting.policy_delay,
                "target_noise": setting.target_noise,
                "noise_clip": setting.noise_clip,
                **form.settings,
            },
            seed=seed,
        )
        self._batch, self._generator = setting.batch, np.random.default_rng(seed)
        self._normaliser = RunningNormaliser(sizes[0]) if form.normalise else None

    def update(self) -> None:
        """One batch."""
        batch = self.mirror.sample(self._batch, self._generator)
        if self._normaliser is not None:
            self._normaliser.update(batch.observation)
        now, following = self._seen(batch.observation), self._seen(batch.next_observation)
        self.algorithm.update(replace(batch, observation=now, next_observation=following))

    def act(self, observation: Float32) -> Float32:
        """(B, O) -> (B, M), without noise."""
        with torch.inference_mode():
            action: Float32 = self.algorithm.actor(torch.from_numpy(self._seen(observation))).numpy()
        return action

    def _seen(self, observation: Float32) -> Float32:
        return observation if self._normaliser is None else self._normaliser(observation)


def learn(task: Task, setting: Setting, seed: int, form: Form) -> Curve:
    """Random steps, then episodes with noise, each followed by as many updates as it had steps."""
    begun_s, environment, scores = time.perf_counter(), make(task), Scores(task)
    sizes = sizes_of(environment)
    mirror = mirror_for(task.steps, *sizes, gamma=setting.gamma, reward_scale=form.reward_scale)
    learning = Learning(sizes, mirror, setting, seed, form)
    generator = np.random.default_rng([seed, 1])
    noise = GaussianNoise(setting.exploration_noise, generator)
    steps, episodes, left = 0, 0, True
    observation = _seen(environment.reset(seed=seed))
    recording = Recording(observation)
    while left:
        if steps < setting.learning_starts:
            action = generator.uniform(-1, 1, sizes[1]).astype(np.float32)
        else:
            noisy = learning.act(observation[None])[0] + noise.noise(sizes[1])
            action = np.clip(noisy, -1, 1).astype(np.float32)
        following, reward, terminated, truncated, _ = environment.step(action)
        observation = np.asarray(following, np.float32)
        recording.add(action, float(reward), observation)
        steps += 1
        left = scores.stepped(steps, learning.act)
        if left and (terminated or truncated):
            timesteps = recording.timesteps(episodes, terminated=terminated)
            mirror.append(timesteps.episodes, timesteps)
            episodes += 1
            for _ in range(len(recording) if steps > setting.learning_starts else 0):
                learning.update()
            observation = _seen(environment.reset())
            recording = Recording(observation)
    return scores.curve(learning.algorithm.updates, time.perf_counter() - begun_s)


def _seen(reset: tuple[Any, dict[str, Any]]) -> Float32:
    return np.asarray(reset[0], np.float32)
