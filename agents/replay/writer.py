"""One life of one worker, appending its episodes to a log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

from agents.replay.codec import TimestepCodec
from agents.replay.columns import TimestepBlock
from agents.replay.contract import RefusedTimestep
from agents.replay.documents import episode_document, plain, start_document, utc_now
from agents.replay.guards import check, check_block
from agents.replay.ids import episode_id, timestep_id
from agents.replay.open_episode import OpenEpisode
from agents.replay.quarantine import Quarantine
from agents.replay.runs import ABORTED, UNSPLIT, Episode, EpisodeStart
from agents.replay.storage import Sink
from environment.timestep import TimeStep


class LogWriter:
    """Implements `EpisodeWriter`. At most `batch` timesteps wait in memory: writing is part of `add`, so a sink that
    takes nothing makes the worker wait instead of filling its memory or losing data."""

    def __init__(
        self,
        sink: Sink,
        codec: TimestepCodec,
        *,
        run: str,
        worker: str,
        writer: int,
        batch: int,
        write_every_s: float = 1.0,
    ) -> None:
        """A killed worker loses what it had not written: at most `batch` timesteps, and at most `write_every_s` old."""
        if batch < 1:
            raise ValueError(f"batch: found {batch}, needed at least 1 timestep")
        self.writer = writer
        self._sink = sink
        self._codec = codec
        self._run = run
        self._worker = worker
        self._waited_before_s = sink.waited_s
        self._quarantine = Quarantine(sink, run=run, worker=worker, writer=writer)
        self._rows = codec.blank(batch)
        self._filled = 0
        self._write_every_s, self._written_s = write_every_s, time.monotonic()
        self._tried = False
        """The rows may have reached the store already: an attempt was interrupted."""
        self._number = 0
        self._open: OpenEpisode | None = None

    @property
    def waited_s(self) -> float:
        return self._sink.waited_s - self._waited_before_s

    def begin(self, start: EpisodeStart, first: TimeStep) -> int:
        if self._open is not None:
            raise RuntimeError(f"episode {self._open.id} is open; needed `end` or `abort` before the next `begin`")
        try:
            self._check(first, previous=None)
        except RefusedTimestep as refusal:
            self._quarantine.keep(first, refusal, episode=None)
            self._note_refusals({refusal.reason: (1, str(refusal))}, episode=None)
            raise
        self._open = OpenEpisode(episode_id(self.writer, self._number), start, utc_now(), first)
        self._number += 1
        self._put(self._open, first)
        self._flush_if_due(self._open)
        return self._open.id

    def add(self, timestep: TimeStep) -> None:
        episode = self._needed()
        if self._filled == len(self._rows):
            self._flush(episode)
        try:
            self._check(timestep, previous=episode.last.step, ended=episode.over)
        except RefusedTimestep as refusal:
            self._count_refusal(episode, timestep, refusal)
            raise
        self._put(episode, timestep)
        episode.last = timestep
        episode.episode_return += float(timestep.reward)
        self._flush_if_due(episode)

    def add_many(self, block: TimestepBlock) -> None:
        episode = self._needed()
        good, refusal = check_block(
            block,
            state_size=self._codec.state_size,
            action_size=self._codec.action_size,
            previous=episode.last.step,
            ended=episode.over,
        )
        taken = 0
        while taken < good:
            if self._filled == len(self._rows):
                self._flush(episode)
            until = min(good, taken + len(self._rows) - self._filled)
            part = block if until - taken == len(block) else block[taken:until]
            self._put_block(episode, part)
            taken += len(part)
            self._flush_if_due(episode)
        if refusal is not None:
            self._count_refusal(episode, block.timestep(good, episode.last.step + 1), refusal)
            raise refusal

    def end(
        self,
        *,
        ended: str,
        reward_terms: Mapping[str, float],
        step_ms_mean: float,
        round_returns: Mapping[str, float] | None = None,
    ) -> Episode:
        episode = self._needed()
        terms, rounds = (
            {str(name): float(value) for name, value in told.items()} for told in (reward_terms, round_returns or {})
        )
        episode.check_terms(terms)
        return self._close(episode, ended, terms, rounds, step_ms_mean)

    def abort(self) -> Episode | None:
        episode = self._open
        if episode is None:
            return None
        wall_ms = (utc_now() - episode.started).total_seconds() * 1000
        step_ms_mean = wall_ms / max(1, episode.last.step)
        return self._close(episode, ABORTED, {UNSPLIT: episode.episode_return}, {}, step_ms_mean)

    def note(self, kind: str, **details: Any) -> None:
        self._note(kind, plain(details))

    def drain(self, wait_s: float) -> int:
        if self._open is not None:
            self._flush(self._open)
        return self._sink.drain(wait_s)

    def close(self, wait_s: float) -> int:
        if self._open is not None:
            self._flush(self._open)
        return self._sink.finish(wait_s)

    def _close(
        self, episode: OpenEpisode, ended: str, terms: dict[str, float], rounds: dict[str, float], step_ms_mean: float
    ) -> Episode:
        if not episode.over:
            episode.last = replace(episode.last, truncated=True)
            if self._filled:
                self._rows[self._filled - 1]["truncated"] = True
            else:
                self._sink.mark_truncated(timestep_id(episode.id, episode.last.step))
        self._flush(episode)
        closed = episode.close(
            run=self._run,
            worker=self._worker,
            writer=self.writer,
            ended=ended,
            reward_terms=terms,
            round_returns=rounds,
            step_ms_mean=step_ms_mean,
            finished=utc_now(),
        )
        self._sink.insert_episode(episode_document(closed))
        self._open = None
        self._note_refusals(episode.refused, episode=episode.id)
        return closed

    def _check(self, timestep: TimeStep, *, previous: int | None, ended: bool = False) -> None:
        codec = self._codec
        check(timestep, state_size=codec.state_size, action_size=codec.action_size, previous=previous, ended=ended)

    def _put(self, episode: OpenEpisode, timestep: TimeStep) -> None:
        version = episode.start.policy_version
        self._codec.write(
            self._rows, self._filled, timestep, episode=episode.id, policy_version=version, time=utc_now()
        )
        self._filled += 1

    def _put_block(self, episode: OpenEpisode, block: TimestepBlock) -> None:
        first_step, version = episode.last.step + 1, episode.start.policy_version
        rows = self._rows[self._filled : self._filled + len(block)]
        self._codec.write_block(
            rows, block, first_step=first_step, episode=episode.id, policy_version=version, time=utc_now()
        )
        self._filled += len(block)
        episode.last = block.timestep(len(block) - 1, first_step + len(block) - 1)
        # One after the other, as `add` does: the sum must not depend on how the timesteps came.
        episode.episode_return = reduce(add, block.reward.tolist(), episode.episode_return)

    def _flush_if_due(self, episode: OpenEpisode) -> None:
        if self._filled == len(self._rows) or time.monotonic() - self._written_s >= self._write_every_s:
            self._flush(episode)

    def _flush(self, episode: OpenEpisode) -> None:
        if not self._filled:
            return
        if not episode.noted:
            self._sink.note_open(self.writer, {"episode": episode.id, **start_document(episode.start)})
            episode.noted = True
        again, self._tried = self._tried, True
        self._sink.insert_timesteps(self._rows[: self._filled], again=again)
        self._filled, self._tried = 0, False
        self._written_s = time.monotonic()

    def _count_refusal(self, episode: OpenEpisode, timestep: TimeStep, refusal: RefusedTimestep) -> None:
        episode.count_refusal(refusal)
        self._quarantine.keep(timestep, refusal, episode=episode.id)

    def _note_refusals(self, refused: Mapping[str, tuple[int, str]], *, episode: int | None) -> None:
        for reason, (count, message) in refused.items():
            self._note("refused", {"reason": reason, "count": count, "first": message, "episode": episode})

    def _note(self, kind: str, details: Mapping[str, Any]) -> None:
        self._sink.insert_event(
            {"run": self._run, "process": self._worker, "kind": kind, "time": utc_now(), "details": details}
        )

    def _needed(self) -> OpenEpisode:
        if self._open is None:
            raise RuntimeError("no episode is open; needed `begin` first")
        return self._open
