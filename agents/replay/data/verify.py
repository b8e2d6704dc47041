"""Walks all that a run has stored and tells what is wrong with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from agents.analysis import Finding, Plausibility, disorder
from agents.replay.codec import Rows, TimestepCodec
from agents.replay.columns import EpisodeTimesteps
from agents.replay.data.agreement import disagreements
from agents.replay.data.findings import Problems, Verdict
from agents.replay.data.leftovers import pruned_up_to
from agents.replay.data.pages import PAGE_TIMESTEPS, blocks
from agents.replay.data.parquet import codec_of
from agents.replay.data.selection import Progress, unheard
from agents.replay.ids import EPISODE_BITS, STEP_BITS, timesteps_of_writer, writer_of_timestep
from agents.replay.log import Log
from agents.replay.runs import Episode, Run

Judge = Callable[[Episode, EpisodeTimesteps], Iterator[Finding]]
_STEPS = (1 << STEP_BITS) - 1


def verify(replay: Log, name: str, *, progress: Progress = unheard, page: int = PAGE_TIMESTEPS) -> Verdict:
    """Looks at every episode that has finished and every timestep, about `page` of them in memory at a time.

    Nothing may be pruned from the run meanwhile; workers may write.

    Raises: KeyError naming the runs that exist.
    """
    begun_s = time.monotonic()
    walk = _Walk(replay, replay.run(name))
    walk.look_for_unknown_writers()
    for writer in walk.writers():
        for rows in blocks(replay, walk.codec, writer, walk.malformed, page=page):
            walk.look_at(rows)
            progress(walk.timesteps, walk.expected)
    walk.look_for_lost_episodes()
    return Verdict(
        run=name,
        episodes=len(walk.episodes),
        timesteps=walk.timesteps,
        unfinished=walk.unfinished,
        not_judged=walk.not_judged,
        problems=walk.problems,
        seconds=time.monotonic() - begun_s,
    )


class _Walk:
    """What is known while the timesteps pass by."""

    def __init__(self, replay: Log, run: Run) -> None:
        self.replay, self.run = replay, run
        self.codec: TimestepCodec = codec_of(run)
        self.problems = Problems()
        self.timesteps = 0
        self.unfinished: list[int] = []
        self.episodes = {episode.id: episode for episode in replay.episodes_after(run.name, {})}
        self.expected = sum(episode.length + 1 for episode in self.episodes.values())
        self._seen: set[int] = set()
        self._lives = {life.writer for life in replay.lives(run.name)}
        self._pruned = pruned_up_to(replay, run.name)
        self._judge, self.not_judged = _judge(run)

    def writers(self) -> list[int]:
        """Those that started, and those that are not known to have."""
        return sorted(self._lives | {id >> EPISODE_BITS for id in self.episodes} | set(self._unknown))

    def look_for_unknown_writers(self) -> None:
        """Timesteps or episodes of this run under numbers that no worker of it was given."""
        self._unknown = [writer for writer in _stored_writers(self.replay) if self._is_unknown(writer)]
        for writer in sorted({*self._unknown, *(id >> EPISODE_BITS for id in self.episodes)} - self._lives):
            first = writer << EPISODE_BITS
            self.problems.add("unknown_writer", first, f"writer {writer} has no event worker_started in this run")

    def _is_unknown(self, writer: int) -> bool:
        if writer in self._lives:
            return False
        first = self.replay.read_some(*timesteps_of_writer(writer), 1)
        try:
            return len(self.codec.read(first)) > 0
        except ValueError:  # of another run
            return False

    def malformed(self, id: int, text: str) -> None:
        """A document that is none of this run's timesteps."""
        self.timesteps += 1
        self.problems.add("malformed", id >> STEP_BITS, text, step=id & _STEPS)

    def look_at(self, rows: Rows) -> None:
        """All timesteps of some episodes, sorted by id."""
        self.timesteps += len(rows)
        ids = rows["_id"]
        self._look_at_numbers(rows)
        begins = np.flatnonzero(np.diff(ids >> STEP_BITS, prepend=-1)).tolist()
        for begin, end in zip(begins, [*begins[1:], len(ids)], strict=True):
            self._look_at_episode(int(ids[begin]) >> STEP_BITS, rows[begin:end])

    def _look_at_numbers(self, rows: Rows) -> None:
        ids = rows["_id"]
        said = rows["episode"] << STEP_BITS | rows["step"]
        for row in np.flatnonzero(said != ids).tolist():
            kind = "duplicate" if said[row] in ids else "misnumbered"
            text = f"says it is step {rows['step'][row]} of episode {rows['episode'][row]}"
            self.problems.add(kind, int(ids[row]) >> STEP_BITS, text, step=int(ids[row]) & _STEPS)

    def _look_at_episode(self, id: int, rows: Rows) -> None:
        self._seen.add(id)
        episode = self.episodes.get(id)
        if episode is None:
            self._look_at_undocumented(id, len(rows))
            return
        steps = rows["_id"] & _STEPS
        inside = int(np.searchsorted(steps, episode.length, side="right"))
        if inside < len(steps):
            text = f"{len(steps) - inside} timesteps after step {episode.length}, its last; no reader takes them"
            self.problems.add("beyond_end", id, text, step=int(steps[inside]), times=len(steps) - inside)
        if inside < episode.length + 1:
            missing = np.setdiff1d(np.arange(episode.length + 1), steps[:inside])
            text = f"found {inside} timesteps, needed {episode.length + 1}; the first one missing is {missing[0]}"
            self.problems.add("gap", id, text, step=int(missing[0]), times=len(missing))
            return
        self._look_at_values(episode, _columns(id, rows[:inside]))

    def _look_at_values(self, episode: Episode, steps: EpisodeTimesteps) -> None:
        for finding in (*self._judge(episode, steps), *disagreements(episode, steps)):
            text = f"{finding.name} = {finding.value:g}: {finding.problem}"
            kind = "document" if finding.step < 0 else "value"
            self.problems.add(kind, episode.id, text, step=finding.step)

    def _look_at_undocumented(self, id: int, timesteps: int) -> None:
        writer = id >> EPISODE_BITS
        newest = self.replay.last_timestep(writer)
        # Asked for after the newest: a writer that has begun the next episode has stored this one's document before.
        if self.replay.has_episode(id):
            return
        if newest is not None and newest >> STEP_BITS == id and id > self._pruned.get(writer, -1):
            self.unfinished.append(id)
            return
        self.problems.add("no_episode", id, f"{timesteps} timesteps, left by something that died; prune deletes them")

    def look_for_lost_episodes(self) -> None:
        """Documents that no timestep belongs to."""
        for id in sorted(set(self.episodes) - self._seen):
            self.problems.add("no_timesteps", id, f"needed {self.episodes[id].length + 1} timesteps, found none")


def _judge(run: Run) -> tuple[Judge, str | None]:
    """What looks at the values, and why it can not look at all of them."""
    try:
        return Plausibility(run).findings, None
    except (KeyError, ValueError) as error:
        return _order_only, str(error.args[0])


def _order_only(episode: Episode, steps: EpisodeTimesteps) -> Iterator[Finding]:
    for step, name, value, problem in disorder(episode, steps):
        yield Finding(episode.id, step, name, value, problem)


def _stored_writers(replay: Log) -> Iterable[int]:
    """Of every run; one look into the index for each."""
    id = replay.next_timestep(0, (1 << 63) - 1)
    while id is not None:
        writer = writer_of_timestep(id)
        yield writer
        _, last = timesteps_of_writer(writer)
        id = replay.next_timestep(last + 1, (1 << 63) - 1)


def _columns(episode: int, rows: Rows) -> EpisodeTimesteps:
    names = {"excitation": "action"}
    fields = ("state", "excitation", "policy_action", "decision", "reward", "terminated", "truncated", "policy_version")
    return EpisodeTimesteps(episode, **{name: np.ascontiguousarray(rows[names.get(name, name)]) for name in fields})
