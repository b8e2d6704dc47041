"""The best version on seeds that nothing was chosen by: on the native engine, as osim-rl integrates and tightly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from agents.baselines import blind_walking, standing
from agents.evaluator import Stopped
from agents.gait.card import GaitCard, Walk, gait_card
from agents.gait.feet import body_weight_n
from agents.official.episode import EpisodeScore
from agents.official.figures import UNITS, Figures, RoundScores
from agents.official.native import play_natively, scores_natively
from agents.official.rules import ACCURATE, AS_OSIM_RL, Actor, check_fits, environment_of, on_native, uniform
from agents.official.seeds import GRADER_SEEDS, held_out
from agents.policy import Policy
from environment.config import EnvironmentConfig
from environment.prosthetics import ProstheticsEnv

Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """A policy's episodes and those of the baselines, in the task that it was trained for."""

    as_osim_rl: RoundScores
    """Integrated as osim-rl does, fault included: what OpenSim's score is near to."""
    tight: RoundScores
    """Integrated tightly: a policy that lives on errors of integration falls here."""
    card: GaitCard
    """Of the episodes as osim-rl integrates."""

    @property
    def columns(self) -> dict[str, Figures]:
        """Everybody's figures: `policy`, `tight` (the policy again), `standing`, `blind_walking`, `random`."""
        own = self.as_osim_rl.columns
        return {"policy": own["policy"], "tight": self.tight.columns["policy"]} | {
            name: figures for name, figures in own.items() if name != "policy"
        }

    @property
    def median_seed(self) -> int:
        """Of the tightly integrated episodes, the one that half of the others do not surpass: to be shown."""
        ordered = sorted(self.tight.of("policy"), key=lambda one: one.episode_return)
        return ordered[len(ordered) // 2].seed

    def document(self) -> dict[str, Any]:
        """For JSON."""
        columns = {who: dict(figures) for who, figures in self.columns.items()}
        return {
            "task": self.as_osim_rl.task.name,
            "seeds": list(self.as_osim_rl.seeds),
            "grader_seeds": list(self.as_osim_rl.grader),
            "physics": {"policy": AS_OSIM_RL.name, "tight": ACCURATE.name},
            "units": dict(UNITS),
            "figures": columns,
            "returns": {
                "policy": [one.episode_return for one in self.as_osim_rl.of("policy")],
                "tight": [one.episode_return for one in self.tight.of("policy")],
            },
        }


def score_held_out(policy: Policy, episodes: int, max_steps: int | None, threads: int, stop: Stop) -> HeldOut:
    """Plays the grader's and the first so many held-out seeds on both integrations, and random actions on one.

    Args:
        max_steps: Ends episodes earlier than the task.
        threads: That simulate.

    Raises: Stopped; PolicyMismatch when the policy can not act on this body; ValueError for more episodes than seeds.
    """
    config, seeds = environment_of(policy.contract, policy.contract.task, max_steps), held_out(episodes)
    with closing(ProstheticsEnv(on_native(config))) as reference:
        check_fits(policy.contract, reference)
    played: dict[int, EpisodeScore] = {}
    walks = _walks(on_native(config, AS_OSIM_RL), lambda _: policy, seeds, played, threads, stop)
    card = gait_card(reference.layout, walks, body_weight_n(reference.task.model))

    def scores(integrated: EnvironmentConfig, actor: Actor) -> Mapping[int, EpisodeScore]:
        found = scores_natively(integrated, actor, (*seeds, *GRADER_SEEDS), threads=threads, stop=stop)
        return _all({one.seed: one for one in found}, len(seeds) + len(GRADER_SEEDS))

    tight = scores(on_native(config, ACCURATE), lambda _: policy)
    random = scores(on_native(config, AS_OSIM_RL), uniform(policy.contract.action_size))
    ideals = {
        "standing": (standing(reference, seeds), standing(reference, GRADER_SEEDS)),
        "blind_walking": (blind_walking(reference, seeds), blind_walking(reference, GRADER_SEEDS)),
    }

    def round_of(own: Mapping[int, EpisodeScore]) -> RoundScores:
        return RoundScores(
            task=reference.task,
            steps=reference.time_limit_steps,
            seeds=seeds,
            grader=GRADER_SEEDS,
            episodes={"policy": own, "random": random},
            ideals=ideals,
        )

    return HeldOut(as_osim_rl=round_of(played), tight=round_of(tight), card=card)


def _walks(
    config: EnvironmentConfig,
    actor: Actor,
    seeds: tuple[int, ...],
    played: dict[int, EpisodeScore],
    threads: int,
    stop: Stop,
) -> Iterator[Walk]:
    """The held-out episodes with their states; puts the scores of all into `played`. Raises: Stopped."""
    everything = (*seeds, *GRADER_SEEDS)
    for one in play_natively(config, actor, everything, threads=threads, stop=stop):
        played[one.score.seed] = one.score
        if one.score.seed in seeds:
            yield Walk(one.score.seed, one.states, one.score.fell)
    _all(played, len(everything))


def _all(found: Mapping[int, EpisodeScore], count: int) -> Mapping[int, EpisodeScore]:
    if len(found) < count:
        raise Stopped("stopped in the middle of the held-out episodes")
    return found
