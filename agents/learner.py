"""LOOP 2: batch -> update -> checkpoint.

Knows contracts only. The mirror is fed by a thread of its own, so that the loop never waits for the database.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from agents.checkpoints.contract import Blob
from agents.config import RunConfig
from agents.ddpg.contract import Algorithm
from agents.experience import Batch
from agents.normalisation import RunningNormaliser
from agents.policy import Policy, PolicyContract
from agents.publishing import Publisher
from agents.replay.contract import Replay
from agents.replay.mixture import Memory
from agents.staleness import SampleAges

log = logging.getLogger(__name__)

Stop = Callable[[], bool]
_POLL_S = 0.1
_LONGEST_WAIT_FOR_NEWS_S = 1.0
"""Between two looks at the log, when nothing says that there is something new."""
_SHORTEST_WAIT_FOR_NEWS_S = 0.03
"""Between two, however much is new: a look costs the server milliseconds, and brings all that came meanwhile."""
_REPORT_S = 2.0


class HeldLease(Protocol):
    """The right to train the run."""

    def check(self) -> None:
        """Raises: LeaseLost when another learner has taken over."""

    def valid(self) -> bool:
        """Whether publishing is allowed now."""


class Feeder(threading.Thread):
    """Follows the log into the mirror. A failure is kept for the loop to raise."""

    def __init__(self, mirror: Memory, replay: Replay, run: str) -> None:
        super().__init__(name="feeder", daemon=True)
        self._mirror, self._replay, self._run = mirror, replay, run
        self._ended = threading.Event()
        # Listening begins before the first look, so that nothing falls in between.
        self._news = replay.news(run)
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._ended.is_set():
                next_s = time.monotonic() + _SHORTEST_WAIT_FOR_NEWS_S
                self._mirror.follow(self._replay, self._run)
                self._news.wait(_LONGEST_WAIT_FOR_NEWS_S)
                self._ended.wait(max(0.0, next_s - time.monotonic()))
        except BaseException as error:  # handed over to the learner's loop, which raises it
            self.failure = error

    def check(self) -> None:
        """Raises what stopped the feeding."""
        if self.failure is not None:
            raise RuntimeError("the mirror is no longer fed from the log") from self.failure

    def end(self) -> None:
        self._ended.set()
        self._news.close()
        self.join()


class Learner:
    """Everything that a checkpoint's `learner` part holds, and one step of learning."""

    def __init__(self, config: RunConfig, algorithm: Algorithm, mirror: Memory, contract: PolicyContract) -> None:
        self.config = config
        self.algorithm = algorithm
        self.mirror = mirror
        self.normaliser = RunningNormaliser(contract.observation_size)
        self._contract = contract
        self._generator = np.random.default_rng(config.learner.seed)
        self.ages = SampleAges({})
        self._metrics: dict[str, float] = {}

    @property
    def updates(self) -> int:
        return self.algorithm.updates

    def metrics(self) -> dict[str, float]:
        """Of the newest update. Raises: FloatingPointError when a loss was not finite that nobody has heard of yet."""
        return self._metrics

    def learn(self) -> None:
        """Samples, normalises, updates. Raises: FloatingPointError as `Algorithm.update`, maybe some updates later."""
        batch = self.mirror.sample(self.config.learner.batch_size, self._generator)
        self.normaliser.update(batch.observation)
        self.ages.sampled(batch.policy_version)
        self._metrics = self.algorithm.update(self._normalised(batch))
        if batch.number is not None:
            self.mirror.learned(batch.number, self.algorithm.td_error)

    def policy(self) -> Blob:
        """What an actor needs to act as the network would now."""
        algorithm, normaliser = self.algorithm, self.normaliser.frozen()
        actor = Policy(algorithm.actor, normaliser, self._contract, version=0)
        if algorithm.mean is None:
            return actor.to_blob()
        return Policy(algorithm.mean, normaliser, self._contract, version=0).to_blob(explorer=actor)

    def copies(self) -> tuple[Blob, Blob]:
        """Both parts of a checkpoint."""
        return self.policy(), self.state()

    def state(self) -> Blob:
        """What `restore` needs to go on as if nothing had happened."""
        blob = self.algorithm.state()
        tensors = dict(blob.tensors)
        tensors |= {f"normaliser/{name}": array for name, array in self.normaliser.state_dict().items()}
        tensors |= {f"mirror/{name}": array for name, array in self.mirror.state_dict().items()}
        facts = {"sampling": self._generator.bit_generator.state, "observation": self._contract.observation}
        return Blob(tensors, dict(blob.metadata) | facts)

    def restore(self, blob: Blob, replay: Replay, run: str) -> None:
        """Takes a stored state, and refills the mirror from the log with what it held then.

        Raises: ValueError when the state is of another algorithm or size; LookupError when the log lost its episodes.
        """
        if blob.metadata["observation"] != self._contract.observation:
            raise ValueError(
                f"the checkpoint was trained on observation {blob.metadata['observation']}, this code computes "
                f"{self._contract.observation}; their numbers differ: train under another run name"
            )
        self.algorithm.restore(blob)
        self.normaliser.load_state_dict(_under(blob, "normaliser/"))
        self.mirror.restore(_under(blob, "mirror/"), replay, run)
        self._generator.bit_generator.state = blob.metadata["sampling"]

    def roll_back(self, blob: Blob) -> None:
        """Takes the networks, optimisers and normaliser of a stored state. The mirror stays as it is and the next
        batches are others, or what went wrong would go wrong again.
        """
        self.algorithm.restore(blob)
        self.normaliser.load_state_dict(_under(blob, "normaliser/"))

    def _normalised(self, batch: Batch) -> Batch:
        return dataclasses.replace(
            batch,
            observation=self.normaliser(batch.observation),
            next_observation=self.normaliser(batch.next_observation),
        )


def train(
    learner: Learner,
    feeder: Feeder,
    publisher: Publisher,
    lease: HeldLease,
    report: Callable[[dict[str, Any], dict[str, float]], None],
    stop: Stop,
) -> None:
    """Learns until `stop` says so, then publishes a last time.

    `report(facts, metrics)` hears every other second how it goes. Raises: LeaseLost, and whatever stopped the feeding.
    """
    limiter = learner.config.limiter()
    pace = Pace(learner.updates)
    next_report_s = 0.0
    while not stop():
        feeder.check()
        lease.check()
        if time.monotonic() >= next_report_s:
            report(pace.facts(learner) | _blocked(publisher), learner.metrics() | learner.ages.metrics())
            next_report_s = time.monotonic() + _REPORT_S
        # A memory that is filled from a longer log has passed many steps before it holds any.
        if learner.mirror.transitions and limiter.may_update(learner.updates, learner.mirror.taken_steps):
            learner.learn()
        else:
            pace.wait(_POLL_S)
        # While it waits too: the workers may be waiting to hear that it has caught up, and the store may be back.
        if learner.updates > publisher.stored_updates and publisher.due(learner.updates) and lease.valid():
            publisher.publish(learner.copies, _metadata(learner, learner.metrics()))
    publisher.wait()
    if learner.updates > publisher.stored_updates and lease.valid():
        publisher.publish(learner.copies, _metadata(learner, learner.metrics()))
    report(pace.facts(learner) | _blocked(publisher), learner.metrics() | learner.ages.metrics())


class Pace:
    """How fast the loop goes, and how long it waited for the workers."""

    def __init__(self, updates: int) -> None:
        self._started_s = self._seen_s = time.monotonic()
        self.first = self._seen = updates
        self._waited_s = 0.0

    def wait(self, seconds: float) -> None:
        """Sleeps, and counts it."""
        time.sleep(seconds)
        self._waited_s += seconds

    def facts(self, learner: Learner) -> dict[str, Any]:
        """For the status file; the rate is that since the last call."""
        now_s = time.monotonic()
        rate = (learner.updates - self._seen) / max(now_s - self._seen_s, 1e-9)
        self._seen, self._seen_s = learner.updates, now_s
        return {
            "updates": learner.updates,
            "updates_per_s": rate,
            "waited_s": self._waited_s,
            "running_s": now_s - self._started_s,
            "mirror_timesteps": learner.mirror.timesteps,
            "mirror_transitions": learner.mirror.transitions,
            "collected_timesteps": learner.mirror.taken_steps,
        }


def _blocked(publisher: Publisher) -> dict[str, float]:
    return {"publish_blocked_ms": publisher.blocked_ms, "publish_longest_blocked_ms": publisher.longest_blocked_ms}


def _metadata(learner: Learner, metrics: dict[str, float]) -> dict[str, Any]:
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return {"updates": learner.updates, "timesteps": learner.mirror.taken_steps, "metrics": finite}


def _under(blob: Blob, prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in blob.tensors.items() if name.startswith(prefix)}
