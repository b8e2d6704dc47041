"""The Gymnasium environment: physics, task, observation and actions joined."""

from __future__ import annotations

from collections import deque
from functools import reduce
from operator import add
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from environment import targets
from environment.actions import ActionMap, FrameSkip
from environment.config import EnvironmentConfig
from environment.imitation.build import clock_of, reward_of, termination_of
from environment.imitation.reference import phase_after
from environment.observations import observation
from environment.physics.build import build_physics
from environment.physics.contract import Physics, SimulationError
from environment.physics.integration import EpisodeIntegration
from environment.round_rewards import RoundRewards
from environment.seeds import HOLDS, drawn_seed, stream
from environment.stages import Stage, Stages
from environment.starts import StartSource, begin
from environment.terminations import SIMULATOR_ERROR, Ending
from environment.timestep import TimeStep

Float32 = NDArray[np.float32]


class ProstheticsEnv(gymnasium.Env[Float32, Float32]):
    """Walking as the challenge asks for it.

    One `step` is one decision: the action is held for `frame_skip` control steps of 10 ms, less when the target changes
    or the episode ends. Its reward is the undiscounted sum over them.

    Actions are (M,) in [-1, 1], see `ActionMap`; anything outside is refused. `info` carries after every reset and step

    - `timesteps`: the control steps taken, as a tuple of `TimeStep` (at reset: the reset state alone);
    - `reward_terms`: the reward split by named term;
    - `round_rewards`: what each round of the challenge pays for the same steps, see `RoundRewards`;
    - `ended`: None, or why the episode is over (`fall`, `time_limit`, `abort: …`, `simulator_error: …`);
    - `seed`: of the episode; `reset(seed=info["seed"])` starts the same one again;
    - `start`, after a reset with `starts`, `stages` or a drawn integration: how the episode starts, see
      `environment.starts.Start.facts`, the number of its `stage`, and its `Integration.facts`.

    A failing simulator ends the episode as truncated; the step it failed in leaves no `TimeStep`.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (declared so by Gymnasium)

    def __init__(
        self,
        config: EnvironmentConfig | None = None,
        physics: Physics | None = None,
        starts: StartSource | None = None,
    ) -> None:
        """Builds the simulator of `config`, or takes `physics` (it must be of the task's model)."""
        self.config = config or EnvironmentConfig()
        self.starts = starts
        """Where episodes start; None is the default pose, always."""
        self.stages: Stages | None = None
        """How hard their targets are; None is the task's own, always."""
        self.task = self.config.asked
        self.physics = physics or build_physics(self.config)
        self._integration = EpisodeIntegration(self.config.physics_settings)
        self.layout = self.physics.layout.with_target()
        self.clock = clock_of(self.config)
        """Tells the phase of the motion that is imitated; None without one."""
        self.observe = observation(self.config.observation, self.layout, phase=self.clock is not None)
        self.reward = reward_of(self.config, self.layout)
        self._rounds = RoundRewards(self.layout, self.reward)
        self.time_limit_steps = self.config.max_steps or self.task.time_limit_steps
        self._termination = termination_of(self.config, self.layout, self.time_limit_steps)
        self._actions = ActionMap(len(self.physics.muscles), self.config.bins)
        self._frame_skip = FrameSkip(self.config.frame_skip)
        self._window: deque[Float32] = deque(maxlen=self.observe.history + 1)
        self._ended: Ending | None = Ending("not started", terminated=False)
        self._state = np.zeros(self.layout.size)
        self._targets = np.zeros((1, 3))
        self._target_age_s = np.zeros(1, np.float32)
        self._skips = np.random.default_rng()
        self._start_phase = 0.0
        self._seed = 0
        self._step = 0
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (len(self.physics.muscles),), np.float32)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (len(self.observe.names),), np.float32)

    @property
    def state(self) -> NDArray[np.float64]:
        """(S,) the present state in the order of `layout`, target included; a copy."""
        return self._state.copy()

    def state_dict(self) -> dict[str, Any]:
        """The present state as osim-rl's nested dictionary."""
        return self.layout.as_dict(self._state)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32, dict[str, Any]]:
        """Starts an episode; `seed` (0..2**32-1) fixes its targets, its frame skips and what is drawn of its start.

        Raises: SimulationError when the simulator can not even start.
        """
        super().reset(seed=seed)
        episode_seed = drawn_seed(self.np_random) if seed is None else seed
        how: dict[str, Any] = {}
        stage = Stage()
        if self.stages is not None:
            how["stage"], stage = self.stages.now()
        # For the task's whole length, so that a shorter `max_steps` meets the same targets.
        self._targets = stage(self.task.schedule, episode_seed, self.task.time_limit_steps)
        self._target_age_s = targets.age_s(self._targets)
        self._skips = stream(episode_seed, HOLDS)
        self._seed = episode_seed
        self._step = 0
        self._ended = Ending("the reset failed", terminated=False)
        info: dict[str, Any] = {"reward_terms": {}, "round_rewards": {}, "ended": None, "seed": episode_seed}
        how |= self._integration(episode_seed, self.physics.integrate_as)
        if self.starts is None:
            state = self.physics.reset()
        else:
            state, facts = begin(
                self.starts, episode_seed, reset=self.physics.reset, start_at=self.physics.start_at, over=self._is_over
            )
            how |= facts
        if self.starts is not None or self.stages is not None or self._integration.varies:
            info["start"] = how
        self._state = self._with_target(state)
        if self.clock is not None:
            self._start_phase = self.clock.start_phase(self._state.astype(np.float32))
        self._ended = None
        muscles = len(self.physics.muscles)
        first = self._timestep(np.zeros(muscles, np.float32), np.zeros(muscles, np.float32), False, 0.0, None)
        self._window.clear()
        self._window.extend([first.state] * (self.observe.history + 1))
        return self._observation(), {"timesteps": (first,), **info}

    def step(self, action: Float32) -> tuple[Float32, float, bool, bool, dict[str, Any]]:
        """Holds `action` (M,) in [-1, 1] for one decision.

        Raises: ActionOutOfRange or ValueError for a bad action, before anything moved; RuntimeError after the end.
        """
        if self._ended is not None:
            raise RuntimeError(f"step after the episode's end ({self._ended.reason}); call reset first")
        policy_action = np.array(action, dtype=np.float32)
        excitation = self._actions.excitation(policy_action)
        taken: list[TimeStep] = []
        reached: list[NDArray[np.float64]] = []
        terms: dict[str, float] = {}
        for held in range(self._frame_skip.draw(self._skips)):
            try:
                self._advance(excitation)
            except SimulationError as error:
                self._ended = Ending(f"{SIMULATOR_ERROR}: {error}", terminated=False)
                break
            phase = self._phase()
            values = {name: float(value) for name, value in self.reward.evaluate(self._state, phase).items()}
            self._ended = self._termination(self._state, self._step, phase)
            taken.append(self._timestep(excitation, policy_action, held == 0, sum(values.values()), self._ended))
            self._window.append(taken[-1].state)
            reached.append(self._state)
            terms = {name: terms.get(name, 0.0) + value for name, value in values.items()}
            if self._ended or self._target_age_s[self._step] == 0.0:
                break
        ended = self._ended
        info = {
            "timesteps": tuple(taken),
            "reward_terms": terms,
            "round_rewards": self._paid_by_rounds(reached, taken),
            "ended": ended.reason if ended else None,
            "seed": self._seed,
        }
        reward = float(sum(timestep.reward for timestep in taken))
        return self._observation(), reward, bool(ended and ended.terminated), bool(ended and ended.truncated), info

    def close(self) -> None:
        """Frees the simulator."""
        self.physics.close()

    def _is_over(self, state: NDArray[np.float64]) -> bool:
        at = self._with_target(state)
        phase = None if self.clock is None else np.asarray(self.clock.start_phase(at.astype(np.float32)))
        return self._termination(at, 0, phase) is not None

    def _phase(self) -> NDArray[np.float64] | None:
        return None if self.clock is None else phase_after(self._start_phase, self._step, self.clock.period_s)

    def _paid_by_rounds(self, reached: list[NDArray[np.float64]], taken: list[TimeStep]) -> dict[str, float]:
        """Summed over one decision; nothing where no step was taken."""
        if not taken:
            return {}
        # All steps at once: for states one by one numpy's calls would take several times as long.
        rewards = self._rounds.evaluate(np.stack(reached), np.array([step.reward for step in taken]))
        # One after the other, as the vector form adds them.
        return {name: reduce(add, values.tolist(), 0.0) for name, values in rewards.items()}

    def _advance(self, excitation: Float32) -> None:
        state = self.physics.step(excitation)
        self._step += 1
        self._state = self._with_target(state)

    def _with_target(self, state: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate((state, self._targets[self._step]))

    def _observation(self) -> Float32:
        # From the stored precision, so that the learner computes the very same numbers from the log.
        return self.observe(np.stack(self._window), self._target_age_s[self._step], self._phase())

    def _timestep(
        self, excitation: Float32, policy_action: Float32, decision: bool, reward: float, ended: Ending | None
    ) -> TimeStep:
        return TimeStep(
            step=self._step,
            state=self._state.astype(np.float32),
            excitation=excitation,
            policy_action=policy_action,
            decision=decision,
            reward=reward,
            terminated=bool(ended and ended.terminated),
            truncated=bool(ended and ended.truncated),
        )
