"""Which of a run's stored episodes are compared with another physics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agents.replay.runs import ABORTED, Episode


def ordinary(episodes: Sequence[Episode], physics: str) -> tuple[list[Episode], dict[str, int]]:
    """Those that show how far a run's own `physics` is off, and how many are left out for each of the other reasons.

    An aborted episode ends where its worker was stopped, so its return says nothing; a confirmation or an official
    score was played on a reference already.
    """
    reasons = {
        "aborted": [one for one in episodes if one.ended == ABORTED],
        "evaluated_on_another_physics": [
            one
            for one in episodes
            if one.ended != ABORTED and one.start.purpose == "evaluate" and one.start.physics != physics
        ],
    }
    others = {one.id for group in reasons.values() for one in group}
    kept = [one for one in episodes if one.id not in others]
    return kept, {reason: len(group) for reason, group in reasons.items()}


def select(episodes: Sequence[Episode], count: int, by: str, ids: Sequence[int] = ()) -> list[Episode]:
    """Those with these `ids`, else the `count` that are first `by` `newest`, `worst` or `best` return.

    Raises: KeyError for an id that is no finished episode of the run.
    """
    if ids:
        known = {episode.id: episode for episode in episodes}
        unknown = [id for id in ids if id not in known]
        if unknown:
            raise KeyError(f"the run has no episode {', '.join(map(str, unknown))}; it has {len(known)} others")
        return [known[id] for id in ids]
    orders: dict[str, Callable[[Episode], tuple[float, int]]] = {
        "newest": lambda episode: (-episode.finished.timestamp(), -episode.id),
        "worst": lambda episode: (episode.episode_return, episode.id),
        "best": lambda episode: (-episode.episode_return, episode.id),
    }
    return sorted(episodes, key=orders[by])[:count]
