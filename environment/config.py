"""The environment's settings: plain data, checked when made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from environment.actions import FrameSkip, check_bins
from environment.arguments import is_number, is_whole
from environment.observations import OBSERVATIONS
from environment.physics.integration import Draws
from environment.physics.native.settings import METHODS, NativeSettings
from environment.physics.settings import INTEGRATORS, OpenSimSettings
from environment.rewards import TASK_REWARDS
from environment.shaping import ABORT_RULES, SHAPED_TERMS
from environment.targets import entered_late
from environment.tasks import Task, task
from environment.terminations import IMITATION

PHYSICS: Mapping[str, type[NativeSettings] | type[OpenSimSettings]] = {
    "native": NativeSettings,
    "opensim": OpenSimSettings,
}
"""Simulators by name: our compiled engine, and the reference."""
_INTEGRATORS: Mapping[str, tuple[str, ...]] = {"native": METHODS, "opensim": INTEGRATORS}
OSIM_RL_INTEGRATOR = "RungeKuttaMerson"
OSIM_RL_ACCURACY = 5e-5
"""How tightly osim-rl 2.1.5 has OpenSim integrate."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentConfig:
    """One environment. The defaults are those of rollouts; `official()` gives osim-rl's for scores."""

    task: str = "prosthetics-round2"
    physics: str = "native"
    integrator: str | None = None
    """Of that physics; None is its own default for rollouts."""
    accuracy: float | None = None
    """Error that an integrator step may make, as that physics counts it; None is its own default for rollouts."""
    accuracies: tuple[float, float] | None = None
    """Instead of one accuracy: every training episode has its own, drawn by its seed, its logarithm evenly between
    these two. A policy then can not live on one integrator's errors. Never in a score, see `scored`."""
    stale_controls: bool = False
    """Keep osim-rl's fault that a step's first integrator stage uses the previous action."""
    stale_share: float | None = None
    """Instead: keep it in this share of the training episodes, 0..1. Only with `RungeKuttaMerson`."""
    observation: str = "compact"
    frame_skip: int | tuple[int, int] = 4
    """Control steps an action is held: a number, or a range to draw from."""
    bins: int | None = None
    """Number of excitation levels; None is continuous, 2 is on/off."""
    reward: str | None = None
    """What is learned for: `round1`, `round2` or `walk`; None is the task's own, which scores are always made by."""
    shaping: Mapping[str, float] = field(default_factory=dict)
    """Weights of optional shaped reward terms, e.g. `{lean = 0.5}`."""
    aborts: tuple[str, ...] = ()
    """Early-abort rules that end an episode as a failure."""
    motion: str | None = None
    """A motion file, whose phase the policy sees: what is imitated. See `environment/motions/read.py` for what it may
    say; it must be a cycle, or hold one. The path must hold on every machine of the run."""
    imitation: float = 0.0
    """Share of the reward for being like that motion (DeepMimic's is 0.7); the rest is for `reward`."""
    clock: tuple[float, float] | None = None
    """Instead of a motion: seconds of its cycle, and the phase at the start, which is all that a score needs."""
    late_targets: float = 0.0
    """Share of the episodes that are asked from the start for what the task asks for later on, up to a whole episode
    later; see `environment.targets.entered_late`. Scores never are."""
    max_steps: int | None = None
    """Ends episodes earlier than the task's limit (truncated); None keeps the task's."""

    def __post_init__(self) -> None:
        limit = task(self.task).time_limit_steps
        if self.physics not in PHYSICS:
            raise ValueError(f"physics {self.physics!r} is unknown; there are {', '.join(PHYSICS)}")
        if self.observation not in OBSERVATIONS:
            raise ValueError(f"observation {self.observation!r} is unknown; there are {', '.join(OBSERVATIONS)}")
        if self.reward is not None and self.reward not in TASK_REWARDS:
            raise ValueError(f"reward {self.reward!r} is unknown; there are {', '.join(TASK_REWARDS)}")
        if self.accuracy is not None and self.accuracies is not None:
            raise ValueError(
                f"accuracy={self.accuracy!r} is of every episode, accuracies={list(self.accuracies)} are drawn from: "
                "leave one out"
            )
        _ = self.physics_settings
        FrameSkip(self.frame_skip)
        check_bins(self.bins)
        for name, weight in self.shaping.items():
            if name not in SHAPED_TERMS:
                raise ValueError(f"shaped reward {name!r} is unknown; there are {', '.join(SHAPED_TERMS)}")
            if not (is_number(weight) and math.isfinite(weight)):
                raise ValueError(f"weight of shaped reward {name!r} is {weight!r}, it must be a finite number")
        for name in self.aborts:
            if name not in (*ABORT_RULES, IMITATION):
                known = ", ".join((*ABORT_RULES, IMITATION))
                raise ValueError(f"early-abort rule {name!r} is unknown; there are {known}")
        self._check_imitation()
        if not (is_number(self.late_targets) and 0 <= self.late_targets <= 1):
            raise ValueError(f"late_targets={self.late_targets!r} must be in 0..1, a share of the episodes")
        if self.max_steps is not None and not (is_whole(self.max_steps) and 1 <= self.max_steps <= limit):
            raise ValueError(
                f"max_steps={self.max_steps!r} must be a whole number in 1..{limit}, the limit of {self.task}"
            )

    def _check_imitation(self) -> None:
        if not (is_number(self.imitation) and 0 <= self.imitation <= 1):
            raise ValueError(f"imitation={self.imitation!r} must be in 0..1, its share of the reward")
        if self.clock is None:
            return
        if self.imitates or self.motion is not None:
            raise ValueError(
                f"clock={list(self.clock)} says when a motion is where, not how it looks: it goes without motion, "
                "imitation and the early-abort rule of that name"
            )
        period_s, phase = self.clock
        if not (0 < period_s < math.inf and 0 <= phase < 1):
            raise ValueError(f"clock={list(self.clock)} must be positive seconds of a cycle, and a phase in [0, 1)")

    @property
    def imitates(self) -> bool:
        """Whether reward or endings are by a motion, which then has to be named."""
        return self.imitation > 0 or IMITATION in self.aborts

    @property
    def asked(self) -> Task:
        """The task, with its targets as this environment asks for them."""
        found = task(self.task)
        if not self.late_targets:
            return found
        return replace(found, schedule=entered_late(found.schedule, self.late_targets, found.time_limit_steps))

    @property
    def reward_name(self) -> str:
        """Key of `environment.rewards.TASK_REWARDS`."""
        return self.reward or task(self.task).reward

    @property
    def draws(self) -> bool:
        """Whether episodes have integrator settings of their own."""
        return self.accuracies is not None or self.stale_share is not None

    @property
    def physics_settings(self) -> NativeSettings | OpenSimSettings:
        """How the physics integrates."""
        owners = [name for name, known in _INTEGRATORS.items() if self.integrator in known]
        if owners and self.physics not in owners:
            raise ValueError(
                f"integrator {self.integrator!r} belongs to physics={owners[0]!r}; physics={self.physics!r} has "
                f"{', '.join(_INTEGRATORS[self.physics])}"
            )
        chosen: dict[str, Any] = {"stale_controls": self.stale_controls}
        if self.integrator is not None:
            chosen["integrator"] = self.integrator
        if self.accuracy is not None:
            chosen["accuracy"] = self.accuracy
        if self.draws:
            chosen["draws"] = Draws(self.accuracies, self.stale_share)
        return PHYSICS[self.physics](**chosen)

    def on(self, physics: str, integrator: str | None = None, accuracy: float | None = None) -> EnvironmentConfig:
        """The same environment on another physics; None is that one's own default for rollouts."""
        return replace(
            self,
            physics=physics,
            integrator=integrator,
            accuracy=accuracy,
            accuracies=None,
            stale_controls=False,
            stale_share=None,
        )

    def undrawn(self) -> EnvironmentConfig:
        """The same with all episodes integrated alike. What would be drawn is as osim-rl has it: accuracy 5e-5 with its
        integrator, or the physics' default with another one; late controls in every episode."""
        accuracy = self.accuracy
        if self.accuracies is not None and self.integrator == OSIM_RL_INTEGRATOR:
            accuracy = OSIM_RL_ACCURACY
        stale_controls = self.stale_controls or self.stale_share is not None
        return replace(self, accuracy=accuracy, accuracies=None, stale_controls=stale_controls, stale_share=None)

    def scored(self) -> EnvironmentConfig:
        """The same with the task's own reward and endings: what scores are made in, whatever is learned for. What the
        policy sees stays, the phase of a motion included. All episodes are integrated alike, see `undrawn`."""
        return replace(self.undrawn(), reward=None, shaping={}, aborts=(), imitation=0.0, late_targets=0.0)

    def official(self) -> EnvironmentConfig:
        """The same task integrated as osim-rl 2.1.5 does it, by its own reward, without a shorter limit."""
        return replace(
            self.scored(),
            physics="opensim",
            integrator=OSIM_RL_INTEGRATOR,
            accuracy=OSIM_RL_ACCURACY,
            stale_controls=True,
            max_steps=None,
        )
