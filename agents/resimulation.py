"""Stored episodes through another physics: the same start, the same excitations, and how far the two come apart.

Knows contracts only. Excitations are stored exactly as the muscles received them; states are stored as float32, so two
runs of one simulator differ here by that rounding, about 6e-8 of each number, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.replay.backlog import is_experience
from agents.replay.columns import EpisodeTimesteps
from agents.replay.contract import Replay
from agents.replay.runs import Episode, Run
from environment.imitation.reference import Clock, phase_after
from environment.physics.contract import Physics, SimulationError
from environment.physics.integration import Integration
from environment.rewards import Reward
from environment.state import TARGET_VELOCITY, StateLayout
from environment.terminations import FALL_PELVIS_HEIGHT_M
from environment.timestep import CONTROL_STEP_S

Float64 = NDArray[np.float64]

FIRST_SECOND_STEPS = round(1.0 / CONTROL_STEP_S)
HELD_STEPS = 25
"""When the stored body has fallen and the reference has not, the last excitations are held so long to see it fall."""
_START_ABSOLUTE, _START_RELATIVE = 1e-7, 1e-6
"""Between two starts that count as equal: float32's rounding, and what two muscle equilibria may differ by."""
_ROUNDING_M = 1e-6
_SMALLEST_SCALE = 1e-3
"""Differences of entries that stay below it all episode are relative to it: a ratio of two zeros says nothing."""


class NotReplayable(ValueError):
    """This episode can not be compared. Says why."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """How far the reference's episode is from the stored one, over the control steps that both have."""

    episode: int
    ended: str
    """Of the stored episode."""
    stored_physics: str
    reference_physics: str
    steps: int
    """Control steps stored."""
    steps_compared: int
    """Fewer when the reference fell earlier or failed."""
    com_largest_mm: float
    """Distance of the centres of mass."""
    com_first_second_mm: float
    """The largest within the first second."""
    com_final_mm: float
    """At the last step that both have."""
    return_stored: float
    return_reference: float
    """By the run's reward and the stored targets, up to the reference's own fall or the end of what is stored."""
    fall_step_stored: int | None
    fall_step_reference: int | None
    """None: it had not fallen when the excitations were over."""
    worst_entry: str
    """Name of the state's number that is furthest off, relative to the largest it was in this episode."""
    worst_relative: float
    worst_step: int
    reference_failure: str | None
    """What the reference's integrator gave up with, if it did."""

    @property
    def return_off(self) -> float:
        """Relative to the stored return."""
        return abs(self.return_reference - self.return_stored) / max(abs(self.return_stored), 1e-9)

    @property
    def same_fall(self) -> bool:
        return self.fall_step_stored == self.fall_step_reference


@dataclass(frozen=True, slots=True)
class Refused:
    """An episode that could not be compared."""

    episode: int
    reason: str


class Resimulator:
    """Plays one run's episodes on one physics."""

    def __init__(
        self,
        run: Run,
        reward: Reward,
        physics: Physics,
        scored: Reward | None = None,
        clock: Clock | None = None,
        *,
        as_drawn: bool = False,
    ) -> None:
        """Episodes are paid by `reward`, evaluations by `scored` if it is another one; `clock` is of what is imitated.
        `as_drawn`: each is integrated as was drawn for it when it was played, on this very physics.

        Raises: ValueError when `physics` is of another body, or describes its states otherwise than the run."""
        self.layout = physics.layout.with_target()
        _refuse_other_body(run, physics, self.layout)
        self._reward, self._scored, self._physics = reward, scored or reward, physics
        self._clock, self._as_drawn = clock, as_drawn
        self._target = self.layout.where(TARGET_VELOCITY)
        self._center = self.layout.where("misc/mass_center_pos")
        self._height = self.layout.index["body_pos/pelvis/y"]
        # The rest of a state follows from these.
        self._start = self.layout.continuous

    @property
    def physics(self) -> str:
        return self._physics.name

    def close(self) -> None:
        """Frees the simulator."""
        self._physics.close()

    def __call__(self, episode: Episode, stored: EpisodeTimesteps, stop: Callable[[], bool]) -> Divergence | None:
        """Compares one episode; None when `stop` said so in the middle. Raises: NotReplayable."""
        if len(stored.state) < 2:
            raise NotReplayable("it has no control steps")
        played = self._play(episode, stored, stop)
        if played is None:
            return None
        states, failure = played
        steps = len(stored.state) - 1
        fall_stored, fall = self._stored_fall(stored), self._fall(states)
        last = min(steps, len(states) - 1)
        if last == 0:
            raise NotReplayable(f"the reference failed at once: {failure}")
        ours, theirs = stored.state[: last + 1].astype(np.float64), states[: last + 1]
        apart_mm = 1e3 * np.linalg.norm(theirs[1:, self._center] - ours[1:, self._center], axis=1)
        step, entry, relative = _worst(ours, theirs)
        reward = self._reward if is_experience(episode) else self._scored
        phase = None
        if self._clock is not None:
            steps_on = np.arange(1, len(theirs))
            phase = phase_after(self._clock.start_phase(stored.state[0]), steps_on, self._clock.period_s)
        earned = sum(term.sum() for term in reward.evaluate(theirs[1:], phase).values())
        return Divergence(
            episode=episode.id,
            ended=episode.ended,
            stored_physics=episode.start.physics,
            reference_physics=self._physics.name,
            steps=steps,
            steps_compared=last,
            com_largest_mm=float(apart_mm.max()),
            com_first_second_mm=float(apart_mm[:FIRST_SECOND_STEPS].max()),
            com_final_mm=float(apart_mm[-1]),
            return_stored=float(stored.reward.sum()),
            return_reference=float(earned),
            fall_step_stored=fall_stored,
            fall_step_reference=fall,
            worst_entry=self.layout.names[entry],
            worst_relative=relative,
            worst_step=step,
            reference_failure=failure,
        )

    def _play(
        self, episode: Episode, stored: EpisodeTimesteps, stop: Callable[[], bool]
    ) -> tuple[Float64, str | None] | None:
        """The reference's states (K+1, S) to its own fall, the last excitation or its failure, and that failure."""
        if self._as_drawn:
            self._physics.integrate_as(self._drawn(episode))
        states = [self._begin(stored.state[0], in_default_pose=episode.start.in_default_pose)]
        # The stored arrivals' excitations; then the last one held, if it is for a fall that they are all waiting.
        held = HELD_STEPS if self._stored_fall(stored) is not None else 0
        excitations = [*stored.excitation[1:], *[stored.excitation[-1]] * held]
        targets = stored.state[:, self._target]
        for step, excitation in enumerate(excitations, 1):
            if stop():
                return None
            try:
                state = self._physics.step(excitation.astype(np.float64))
            except SimulationError as error:
                return np.stack(states), f"control step {step}: {error}"
            except ValueError as error:
                raise NotReplayable(f"what is stored of step {step} is no excitation: {error}") from error
            states.append(np.concatenate((state, targets[min(step, len(targets) - 1)])))
            if state[self._height] < FALL_PELVIS_HEIGHT_M:
                break
        return np.stack(states), None

    def _drawn(self, episode: Episode) -> Integration:
        found = episode.start.integration
        if found is None or episode.start.physics != self.physics:
            raise NotReplayable(f"it was played on {episode.start.physics}, and nothing was drawn for it")
        return found

    def _begin(self, stored: NDArray[np.float32], *, in_default_pose: bool) -> Float64:
        """The reference's first state: its reset, if the episode began there too; else it is put where that began."""
        try:
            first = self._physics.reset() if in_default_pose else self._physics.start_at(stored[: -len(self._target)])
        except SimulationError as error:
            raise NotReplayable(f"the reference can not start: {error}") from error
        except ValueError as error:
            raise NotReplayable(str(error)) from error
        state: Float64 = np.concatenate((first, stored[self._target].astype(np.float64)))
        ours, theirs = stored[self._start].astype(np.float64), state[self._start]
        off = np.abs(ours - theirs) - (_START_ABSOLUTE + _START_RELATIVE * np.abs(theirs))
        if not (off <= 0.0).all():
            worst = int(np.argmax(np.where(np.isfinite(off), off, np.inf)))
            raise NotReplayable(
                f"it starts elsewhere than the reference's reset: {self.layout.names[self._start[worst]]} is "
                f"{ours[worst]:g}, at the reset {theirs[worst]:g}; its document does not say that it started elsewhere"
            )
        return state

    def _fall(self, states: Float64) -> int | None:
        """The first control step below the height of a fall."""
        low = np.flatnonzero(states[:, self._height] < FALL_PELVIS_HEIGHT_M)
        return int(low[0]) if len(low) else None

    def _stored_fall(self, stored: EpisodeTimesteps) -> int | None:
        """The last step, if a fall ended the episode; its height was judged before it was rounded."""
        low = stored.state[-1, self._height] < FALL_PELVIS_HEIGHT_M + _ROUNDING_M
        return len(stored.state) - 1 if low and stored.terminated[-1] else None


def resimulate(
    replay: Replay, episodes: Sequence[Episode], resimulator: Resimulator, stop: Callable[[], bool]
) -> Iterator[Divergence | Refused]:
    """One episode after another, until `stop`; an episode that can not be read or compared is told with its reason."""
    for episode in episodes:
        if stop():
            return
        try:
            found = resimulator(episode, _read(replay, episode), stop)
        except NotReplayable as reason:
            yield Refused(episode.id, str(reason))
            continue
        if found is None:
            return
        yield found


def _read(replay: Replay, episode: Episode) -> EpisodeTimesteps:
    try:
        stored = replay.timesteps(episode)
    except (LookupError, ValueError) as error:  # gaps; documents that were edited by hand
        raise NotReplayable(str(error)) from error
    bad = ~np.isfinite(stored.state).all(axis=1)
    if bad.any():
        raise NotReplayable(f"the state stored of step {int(np.argmax(bad))} is not finite")
    return stored


def _worst(ours: Float64, theirs: Float64) -> tuple[int, int, float]:
    """Step, entry and size of the largest difference relative to the largest its entry was."""
    scale = np.maximum(np.maximum(np.abs(ours).max(axis=0), np.abs(theirs).max(axis=0)), _SMALLEST_SCALE)
    relative = np.abs(theirs - ours) / scale
    step, entry = np.unravel_index(int(np.argmax(relative)), relative.shape)
    return int(step), int(entry), float(relative[step, entry])


def _refuse_other_body(run: Run, physics: Physics, layout: StateLayout) -> None:
    found = {"states": layout.sha256, "muscles": tuple(physics.muscles), "model file": physics.model_sha256}
    needed = {"states": run.layout_sha256, "muscles": tuple(run.action_names), "model file": run.model_sha256}
    for name, value in needed.items():
        if found[name] != value:
            raise ValueError(
                f"the {name} of {physics.name} are not those of run {run.name!r}: found {found[name]}, needed {value}; "
                "is another version of OpenSim or osim-rl installed here?"
            )
