"""Stable-Baselines3's TD3: its loop, its networks, its buffer, its `train`."""

from __future__ import annotations

import contextlib
import io
import time
from importlib import import_module
from typing import Any

import numpy as np

from infra.bench.curves.contract import Curve, Float32, Setting, Task
from infra.bench.curves.tasks import Scores, make, sizes_of


def stable_baselines3(task: Task, setting: Setting, seed: int) -> Curve:
    """`learn` with as many updates after each episode as it had steps; its buffer knows time limits by itself."""
    begun_s = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):  # it imports the retired gym where there is one, which says so
        package = import_module("stable_baselines3")
    noise = import_module("stable_baselines3.common.noise")
    scores, environment = Scores(task), make(task)
    _, size = sizes_of(environment)
    model = package.TD3(
        "MlpPolicy",
        environment,
        learning_rate=setting.learning_rate,
        buffer_size=task.steps,
        learning_starts=setting.learning_starts,
        batch_size=setting.batch,
        tau=setting.tau,
        gamma=setting.gamma,
        train_freq=(1, "episode"),
        gradient_steps=-1,
        action_noise=noise.NormalActionNoise(np.zeros(size), np.full(size, setting.exploration_noise)),
        policy_delay=setting.policy_delay,
        target_policy_noise=setting.target_noise,
        target_noise_clip=setting.noise_clip,
        policy_kwargs={"net_arch": list(setting.hidden)},
        seed=seed,
        device="cpu",
    )

    def act(observation: Float32) -> Float32:
        action: Float32 = model.predict(observation, deterministic=True)[0]
        return action

    def stepped(here: dict[str, Any], everywhere: dict[str, Any]) -> bool:
        return scores.stepped(model.num_timesteps, act)

    model.learn(task.steps, callback=stepped, log_interval=None)
    return scores.curve(model._n_updates, time.perf_counter() - begun_s)
