"""Which learning rates a run's stored timesteps bear: a range test (Smith, arXiv 1506.01186) of critic and actor.

Fresh networks learn from the stored timesteps while one of the two rates grows from far too small to far too large, by
the same factor at every update, and the other network stands still. First the critic: where its loss falls is a good
rate. Then the actor, climbing a critic that learned at the configured rates: where its value rises.
Nothing is published, and nothing of the run is changed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agents.build import build_learner
from agents.checkpoints.contract import Blob
from agents.config import RunConfig
from agents.ddpg import build_algorithm, build_config
from agents.ddpg.contract import Algorithm
from agents.experience import Batch
from agents.learner import Learner
from agents.replay.backlog import is_experience
from agents.replay.contract import Replay
from agents.replay.runs import Run

Network = Literal["critic", "actor"]
LOWEST, HIGHEST = 1e-6, 1.0
_STANDS_STILL = 1e-15
"""A rate that moves no weight, not even at the end of the growth."""
_SMOOTHED_SHARE = 0.05
"""Of the points, to both sides of one."""


@dataclass(frozen=True)
class Curve:
    """How one network fared as its rate grew."""

    network: Network
    rate: tuple[float, ...]
    loss: tuple[float, ...]
    """At those rates: of the critic its loss, of the actor -1 times its value. It ends where one was not finite."""
    configured: float
    """The run's own rate."""

    @property
    def smoothed(self) -> tuple[float, ...]:
        """The loss, averaged over its neighbours."""
        if not self.loss:
            return ()
        half = max(1, round(_SMOOTHED_SHARE * len(self.loss)))
        padded = np.pad(np.array(self.loss), half, mode="edge")
        return tuple(np.convolve(padded, np.full(2 * half + 1, 1 / (2 * half + 1)), mode="valid").tolist())

    @property
    def suggestion(self) -> float | None:
        """The rate at which half of the way down to the smallest loss is done; None when the loss never fell.

        There the fall is about steepest; the slope itself would be a matter of noise.
        """
        smoothed = np.array(self.smoothed)
        if not len(smoothed) or smoothed.argmin() == 0:
            return None
        half_way = (smoothed[0] + smoothed.min()) / 2
        return float(self.rate[int((smoothed <= half_way).argmax())])

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self) | {"smoothed": self.smoothed, "suggestion": self.suggestion}


def find_rates(replay: Replay, run: Run, updates: int, stop: Callable[[], bool]) -> Iterator[Curve]:
    """The critic's curve, then the actor's; fewer when `stop` says so in the middle.

    Args:
        updates: Of each test, and before both; at least 2.

    Raises: ValueError when the run stores nothing to learn from.
    """
    config = _in_little_room(RunConfig.of(run.config), replay, run)
    learner = build_learner(config, run, [replay.run(name) for name in config.replay.partitions])
    while learner.mirror.follow(replay, run.name):
        pass
    # As the run does: then the observations' statistics are settled, and there is something for the actor to climb.
    while learner.updates < updates and not stop():
        learner.learn()
    generator = np.random.default_rng(config.learner.seed)

    def sample() -> Batch:
        batch = learner.mirror.sample(config.learner.batch_size, generator)
        return dataclasses.replace(
            batch,
            observation=learner.normaliser(batch.observation),
            next_observation=learner.normaliser(batch.next_observation),
        )

    if not stop():
        critic = growing(config, learner, "critic", updates)
        yield Curve("critic", *_measured("critic", critic, sample, updates, stop), _configured(config, "critic"))
    if not stop():
        actor, states = growing(config, learner, "actor", updates), sample()
        state = learner.algorithm.state()
        # The growth goes by the number of updates, so it has to begin with the first.
        actor.restore(Blob(state.tensors, {"algorithm": {**state.metadata["algorithm"], "updates": 0}}))
        # Always the same states: others are worth more or less by more than small rates change.
        yield Curve("actor", *_measured("actor", actor, lambda: states, updates, stop), _configured(config, "actor"))


def _in_little_room(config: RunConfig, replay: Replay, run: Run) -> RunConfig:
    """With no larger memory than the stored timesteps need."""
    needed = 0
    for name in (run.name, *config.replay.partitions):
        episodes = [one for one in replay.episodes_after(name, {}) if is_experience(one)]
        needed = max(needed, sum(one.length + 1 for one in episodes if one.length))
    if not needed:
        raise ValueError(
            f"run {run.name!r} stores no timestep to learn from, evaluations aside; "
            f"`python -m agents explore --run {run.name}` collects some"
        )
    capacity = min(needed, config.replay.capacity_timesteps)
    memory = dataclasses.replace(config.replay, capacity_timesteps=capacity, explore_timesteps=0)
    # What is sampled is looked at here, so it has to come to the host.
    learner = dataclasses.replace(config.learner, on_device=False)
    return dataclasses.replace(config, replay=memory, learner=learner)


def _configured(config: RunConfig, network: Network) -> float:
    return float(getattr(build_config(config.algorithm.name, config.algorithm.settings), f"{network}_lr"))


def growing(config: RunConfig, learner: Learner, network: Network, updates: int) -> Algorithm:
    """The run's algorithm with fresh networks, whose rate for `network` grows and for the other is next to 0."""
    name, rates = config.algorithm.name, {"critic_lr": _STANDS_STILL, "actor_lr": _STANDS_STILL}
    growth = {"decay": "exponential", "decay_updates": updates - 1, "final": HIGHEST / LOWEST}
    settings = {**config.algorithm.settings, **rates, f"{network}_lr": LOWEST, "lr_schedule": growth}
    actor = learner.algorithm.actor
    return build_algorithm(
        name,
        actor.observation_size,
        actor.action_size,
        settings=build_config(name, settings | {"bins": config.environment.bins}),
        device=next(actor.parameters()).device,
        seed=config.learner.seed,
    )


def _measured(
    network: Network, algorithm: Algorithm, sample: Callable[[], Batch], updates: int, stop: Callable[[], bool]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Rates, and what the network's loss was at them."""
    growth = (HIGHEST / LOWEST) ** (1 / (updates - 1))
    rates: list[float] = []
    losses: list[float] = []
    for update in range(updates):
        if stop():
            break
        try:
            metrics = algorithm.update(sample())
        except FloatingPointError:  # what a range test is for: this rate was too large
            break
        # Some variants move the actor at every other update only.
        loss = metrics.get("critic/loss") if network == "critic" else metrics.get("actor/value")
        if loss is not None:
            rates.append(LOWEST * growth**update)
            losses.append(loss if network == "critic" else -loss)
    return tuple(rates), tuple(losses)
