"""How the learner's memory follows the log: all that is new, and no more looks than are of use."""

from __future__ import annotations

import time
from typing import Any

import pytest

from agents.learner import Feeder
from agents.replay.contract import Replay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import EpisodeStart
from tests.contracts.replay_samples import sample_episode, sample_run, write_episode


class Bell:
    """News that never stops."""

    def wait(self, seconds: float) -> None:
        return

    def close(self) -> None:
        return


class Noisy:
    """A log and a memory at once, in which something happens all the time."""

    def __init__(self) -> None:
        self.looks = 0

    def news(self, run: str) -> Bell:
        return Bell()

    def follow(self, replay: Replay, run: str) -> int:
        self.looks += 1
        return 0


def test_news_without_end_do_not_make_the_feeder_look_without_end() -> None:
    noisy: Any = Noisy()
    feeder = Feeder(noisy, noisy, "run")
    started_s = time.monotonic()
    feeder.start()
    time.sleep(0.5)
    feeder.end()
    feeder.check()
    seconds = time.monotonic() - started_s
    assert 2 <= noisy.looks <= seconds / 0.03 + 2


@pytest.mark.mongo
def test_the_new_episode_of_one_among_hundreds_of_writers_is_found(mongodb_uri: str, database_name: str) -> None:
    replay = MongoReplay(mongodb_uri, database_name)
    replay.open_run(sample_run())
    first = write_episode(replay.writer("run", "w"), sample_episode(1, 3), EpisodeStart(seed=1, policy_version=0))
    marks = {first.writer: first.id} | {writer: (writer << 20) + 5 for writer in range(2, 500)}
    assert replay.episodes_after("run", marks) == []
    second = write_episode(replay.writer("run", "v"), sample_episode(2, 3), EpisodeStart(seed=2, policy_version=0))
    marks[second.writer] = second.id - 1
    assert [episode.id for episode in replay.episodes_after("run", marks)] == [second.id]
    del marks[second.writer]
    assert [episode.id for episode in replay.episodes_after("run", marks)] == [second.id]
    replay.close()
