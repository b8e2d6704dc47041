"""Many environments in one call: `ProstheticsEnv` over a batch of the native engine, in Gymnasium's vector form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from environment.actions import binned
from environment.config import EnvironmentConfig
from environment.imitation.build import clock_of, reward_of, termination_of
from environment.imitation.reference import phase_after
from environment.observations import observation
from environment.physics.integration import EpisodeIntegration
from environment.physics.models import model_path
from environment.physics.native.settings import NativeSettings
from environment.round_rewards import RoundRewards
from environment.stages import Stages
from environment.starts import StartSource, begin
from environment.terminations import SIMULATOR_ERROR
from environment.vector_arguments import checked_actions, seeds_of
from environment.vector_decision import Decision, nothing_yet
from environment.vector_episodes import Episodes

Float32 = NDArray[np.float32]
Bools = NDArray[np.bool_]

ONLY_WHEN_ASKED = AutoresetMode.DISABLED
"""No environment is reset by a `step`; `reset` with a mask starts the next episodes, and `rest` leaves some out."""


class ProstheticsVectorEnv(VectorEnv[Float32, Float32, NDArray[Any]]):
    """`num_envs` times what `ProstheticsEnv` is, each giving the very same numbers as that one alone.

    One `step` is one decision in every environment: each holds its action for as long as it does alone, so they take
    different numbers of control steps. Environments whose episode is over are reset by the next `step`, which does not
    look at their actions (`AutoresetMode.NEXT_STEP`), or at once (`SAME_STEP`, with `final_obs` and `final_info`).

    `infos` carries what `info` carries there, as arrays over the environments with masks beside (`_seed`, …):
    `reward_terms`, `round_rewards`, `ended`, `seed`, `start`, and as `timesteps` the columns of the control steps
    taken, which `environment.vector_decision.timesteps` turns into one environment's `TimeStep`s.
    """

    def __init__(
        self,
        config: EnvironmentConfig | None = None,
        num_envs: int = 8,
        *,
        threads: int = 1,
        autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
        starts: StartSource | None = None,
    ) -> None:
        """Room for `num_envs` environments, simulated by `threads` threads.

        Raises: ValueError when `config` names another physics than the native one.
        """
        self.config = config or EnvironmentConfig()
        self.starts = starts
        """Where episodes start; None is the default pose, always."""
        self.stages: Stages | None = None
        """How hard their targets are; None is the task's own, always."""
        settings = self.config.physics_settings
        if not isinstance(settings, NativeSettings):
            raise ValueError(
                f"physics {self.config.physics!r} has no batch form, only 'native' has; for several at once use "
                "Gymnasium's AsyncVectorEnv or SyncVectorEnv over ProstheticsEnv"
            )
        # Imported here: the compiled engine takes a second to load.
        from environment.physics.native.batch import NativeBatch

        self.task = self.config.asked
        self.physics = NativeBatch(model_path(self.task.model), settings, num_envs, threads, extra_columns=3)
        self._integration = EpisodeIntegration(settings)
        self.layout = self.physics.layout.with_target()
        self.clock = clock_of(self.config)
        """Tells the phase of the motion that is imitated; None without one."""
        self.observe = observation(self.config.observation, self.layout, phase=self.clock is not None)
        self.reward = reward_of(self.config, self.layout)
        self._rounds = RoundRewards(self.layout, self.reward)
        self.time_limit_steps = self.config.max_steps or self.task.time_limit_steps
        self._termination = termination_of(self.config, self.layout, self.time_limit_steps)
        self._terminates = np.array([bool(one and one.terminated) for one in self._termination.endings])
        self._episodes = Episodes(self.task, self.config.frame_skip, num_envs)
        self._start_phases = np.zeros(num_envs)
        """(N,)"""
        self._running, self._resting = np.zeros((2, num_envs), dtype=bool)
        self._started_how = np.empty(num_envs, object)
        """(N,) what is told of each episode's start."""
        self._begun = False
        self._recent = np.zeros((self.observe.history + 1, num_envs, self.layout.size), np.float32)
        self.num_envs = num_envs
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (len(self.physics.muscles),), np.float32)
        self.single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (len(self.observe.names),), np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)

    @property
    def states(self) -> NDArray[np.float64]:
        """(N, S) the present states in the order of `layout`, targets included; a copy."""
        return self.physics.rows.copy()

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32, dict[str, Any]]:
        """Starts episodes in all environments, or in those of the mask `options["reset_mask"]` (N,).

        Args:
            seed: One for each environment, or the first one's, which the others count on from.
        """
        seeds = seeds_of(seed, self.num_envs)
        which = np.ones(self.num_envs, dtype=bool)
        if options is not None and "reset_mask" in options:
            which = np.asarray(options["reset_mask"])
            if which.dtype != np.bool_ or which.shape != (self.num_envs,) or not which.any():
                raise ValueError(f"reset_mask must be ({self.num_envs},) bools, at least one of them True, not {which}")
            if not self._begun and not which.all():
                raise RuntimeError("the first reset must be of all environments")
        decision = self._decision(np.zeros(self.action_space.shape or (), np.float32), 1)
        decision.states[-1] = 0.0
        self._start(decision, np.flatnonzero(which), seeds)
        self._begun = True
        return self._observation(decision), self._info(decision, which)

    def step(self, actions: Float32) -> tuple[Float32, NDArray[np.float64], Bools, Bools, dict[str, Any]]:
        """Holds `actions` (N, M) in [-1, 1] for one decision in every environment.

        Raises: ActionOutOfRange or ValueError for bad actions, before anything moved; RuntimeError without a reset.
        """
        moving, over = self._running, np.flatnonzero(~(self._running | self._resting))
        if not self._begun or (len(over) and self.autoreset_mode != AutoresetMode.NEXT_STEP):
            raise RuntimeError(f"step of environment {over[0]} without an episode; call reset first")
        decision = self._decide(
            checked_actions(actions, self.action_space.shape or (), np.flatnonzero(~moving)), moving
        )
        if len(over):
            self._start(decision, over, [None] * self.num_envs)
        rewards, terminated = decision.rewards[0].copy(), decision.terminated.copy()
        for later in decision.rewards[1:]:  # one after the other, as a single environment adds them
            rewards += later
        truncated = decision.out_of_time | decision.failed
        seen, info = self._observation(decision), self._info(decision, ~self._resting)
        ended = terminated | truncated
        self._running = self._running & ~ended
        if self.autoreset_mode == AutoresetMode.SAME_STEP and np.count_nonzero(ended):
            seen, info = self._after_the_end(decision, ended, seen)
        return seen, rewards, terminated, truncated, info

    def rest(self, which: Bools) -> None:
        """Ends the episodes in the environments of the mask (N,): `step` leaves them alone until they are reset.

        Raises: RuntimeError where a `step` resets what is over.
        """
        if self.autoreset_mode != ONLY_WHEN_ASKED:
            raise RuntimeError(f"environments do not rest under {self.autoreset_mode}; make them with ONLY_WHEN_ASKED")
        self._running, self._resting = self._running & ~which, self._resting | which

    def close_extras(self, **kwargs: Any) -> None:
        """Frees the simulator."""
        self.physics.close()

    def _decide(self, policy_actions: Float32, moving: Bools) -> Decision:
        """Moves environments on until each has held its action for long enough."""
        holds = self._episodes.holds(moving)
        decision = self._decision(policy_actions, max(1, int(holds.max())))
        excitations = decision.excitations.astype(np.float64)
        active, step = moving, 0
        while np.count_nonzero(active):
            _, failed = self.physics.step(excitations, active)
            if np.count_nonzero(failed):
                decision.failed |= failed
                for environment in np.flatnonzero(failed).tolist():
                    decision.ended[environment] = f"{SIMULATOR_ERROR}: {self.physics.errors[environment]}"
            moved = active & ~failed
            self._episodes.steps += moved
            decision.taken += moved
            over = self._arrive(decision, step, moved)
            step += 1
            active = moved & ~over & (holds > step)
            if np.count_nonzero(active):
                active &= self._episodes.target_ages_s() > 0.0
        if step == 0:
            decision.states[self.observe.history + 1] = 0.0
        decision.rewards = decision.rewards[: max(1, step)]
        decision.states = decision.states[: self.observe.history + 1 + max(1, step)]
        decision.last_step = self._episodes.steps.copy()
        return decision

    def _arrive(self, decision: Decision, step: int, moved: Bools) -> Bools:
        """Judges the states that the environments in `moved` have reached; returns where episodes are over (N,)."""
        states = self.physics.rows
        states[:, -3:] = self._episodes.targets_m_per_s()
        # All are judged, also those that rest: to pick the others would cost more.
        phases = self._phases()
        values = self.reward.evaluate(states, phases)
        paid: NDArray[Any] = np.asarray(sum(values.values()))
        decision.earn(step, moved, paid, values, self._rounds.evaluate(states, paid))
        reached = decision.states[self.observe.history + 1 + step]
        reached[:] = states
        if np.count_nonzero(moved) < self.num_envs:
            reached[~moved] = 0.0
        codes = self._termination.batch(states, self._episodes.steps, phases)
        over: Bools = moved & (codes != 0)
        if np.count_nonzero(over):
            decision.terminated |= over & self._terminates[codes]
            decision.out_of_time |= over & ~self._terminates[codes]
            for environment in np.flatnonzero(over).tolist():
                ending = self._termination.endings[codes[environment]]
                decision.ended[environment] = ending.reason if ending else None
        return over

    def _decision(self, policy_actions: Float32, longest: int) -> Decision:
        """One in which nothing has happened yet, with room for `longest` control steps."""
        n, kept = self.num_envs, self.observe.history + 1
        states = np.empty((kept + longest, n, self.layout.size), np.float32)
        states[1:kept] = self._recent[1:]
        return nothing_yet(
            states,
            history=self.observe.history,
            policy_actions=policy_actions,
            excitations=self._excitations(policy_actions),
            terms=self.reward.names,
            last_step=self._episodes.steps.copy(),
        )

    def _excitations(self, policy_actions: Float32) -> Float32:
        """(N, M) in [0, 1], see `ActionMap`; 0 where an episode starts."""
        return binned((policy_actions.clip(-1.0, 1.0) + np.float32(1.0)) / np.float32(2.0), self.config.bins)

    def _start(self, decision: Decision, rows: NDArray[np.intp], seeds: Sequence[int | None]) -> None:
        """Starts episodes in the environments `rows`."""
        self._running[rows] = self._resting[rows] = False
        for environment in rows.tolist():
            number, stage = (None, None) if self.stages is None else self.stages.now()
            seed = self._episodes.begin(environment, seeds[environment], stage)
            how = {} if number is None else {"stage": number}
            integrate_as = partial(self.physics.integrate_as, environment)
            self._started_how[environment] = how | self._integration(seed, integrate_as)
        if self.starts is None:
            self.physics.reset(rows)
        else:
            for environment in rows.tolist():
                self._begin(self.starts, environment)
        self.physics.rows[:, -3:] = self._episodes.targets_m_per_s()
        if self.clock is not None:
            first = self.physics.rows[rows].astype(np.float32)
            self._start_phases[rows] = [self.clock.start_phase(state) for state in first]
        decision.start(rows, self.physics.rows[rows])
        self._running[rows] = True

    def _begin(self, starts: StartSource, environment: int) -> None:
        """Puts one body where its episode starts."""
        target = self._episodes.targets_m_per_s()[environment]
        _, facts = begin(
            starts,
            int(self._episodes.seeds[environment]),
            reset=lambda: self.physics.reset([environment])[environment].copy(),
            start_at=partial(self.physics.start_at, environment),
            over=lambda state: self._is_over(np.append(state, target)),
        )
        self._started_how[environment] |= facts

    def _is_over(self, state: NDArray[np.float64]) -> bool:
        phase = None if self.clock is None else np.asarray(self.clock.start_phase(state.astype(np.float32)))
        return self._termination(state, 0, phase) is not None

    def _phases(self) -> NDArray[np.float64] | None:
        """(N,) of the motion that is imitated, now."""
        if self.clock is None:
            return None
        return phase_after(self._start_phases, self._episodes.steps, self.clock.period_s)

    def _after_the_end(self, decision: Decision, over: Bools, seen: Float32) -> tuple[Float32, dict[str, Any]]:
        """The environments that are over start again at once; how they ended goes into `final_obs` and `final_info`."""
        final_info, final_seen = self._info(decision, over), np.full(self.num_envs, None, dtype=object)
        for environment in np.flatnonzero(over).tolist():
            final_seen[environment] = seen[environment].copy()
        again = decision.copy()
        self._start(again, np.flatnonzero(over), [None] * self.num_envs)
        seen, info = self._observation(again), self._info(again, np.ones(self.num_envs, dtype=bool))
        info |= {"final_obs": final_seen, "_final_obs": over, "final_info": final_info, "_final_info": over}
        return seen, info

    def _observation(self, decision: Decision) -> Float32:
        # From the stored precision, so that the learner computes the very same numbers from the log.
        self._recent = decision.recent(self._recent)
        return self.observe(self._recent.swapaxes(0, 1), self._episodes.target_ages_s(), self._phases())

    def _info(self, decision: Decision, told: Bools) -> dict[str, Any]:
        info = decision.info(told) | {"seed": self._episodes.seeds.copy(), "_seed": told}
        if self.starts is not None or self.stages is not None or self._integration.varies:
            info |= {"start": self._started_how.copy(), "_start": told & decision.started}
        return info
