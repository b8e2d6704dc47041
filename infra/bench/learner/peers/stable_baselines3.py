"""Stable-Baselines3's TD3: its networks, its buffer, its `train`."""

from __future__ import annotations

import contextlib
import io
from importlib import import_module

import numpy as np

from infra.bench.learner.contract import GAMMA, LEARNING_RATE, NOISE_CLIP, POLICY_DELAY, TARGET_NOISE, TAU, Case, Update

_NAMES = {
    "observation": "observations",
    "action": "actions",
    "reward": "rewards",
    "next_observation": "next_observations",
    "done": "dones",
}


def stable_baselines3(case: Case) -> Update:
    """`train(gradient_steps)` of a model whose buffer is full."""
    with contextlib.redirect_stderr(io.StringIO()):  # it imports the retired gym where there is one, which says so
        package = import_module("stable_baselines3")
    spaces = import_module("stable_baselines3.common.buffers").spaces
    logger = import_module("stable_baselines3.common.logger")
    # Without an environment, as when one of its models is loaded from a file.
    model = package.TD3(
        "MlpPolicy",
        None,
        learning_rate=LEARNING_RATE,
        buffer_size=case.transitions,
        batch_size=case.batch,
        tau=TAU,
        gamma=GAMMA,
        policy_delay=POLICY_DELAY,
        target_policy_noise=TARGET_NOISE,
        target_noise_clip=NOISE_CLIP,
        policy_kwargs={"net_arch": list(case.hidden)},
        device=case.device,
        _init_setup_model=False,
    )
    model.observation_space = spaces.Box(-np.inf, np.inf, (case.observation_size,), np.float32)
    model.action_space = spaces.Box(-1.0, 1.0, (case.action_size,), np.float32)
    model.n_envs = 1
    model._setup_model()
    model.set_logger(logger.Logger(folder=None, output_formats=[]))
    # Its `add` takes one at a time, minutes for many: the same columns are filled at once here.
    filled = 0
    for content in case.content():
        rows = slice(filled, filled + len(content["reward"]))
        for name, theirs in _NAMES.items():
            column = getattr(model.replay_buffer, theirs)
            column[rows] = content[name].reshape(-1, *column.shape[1:])
        filled = rows.stop
    model.replay_buffer.full = True

    def update(count: int) -> None:
        model.train(gradient_steps=count, batch_size=case.batch)

    return update
