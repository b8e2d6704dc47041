"""The ids of what the log holds.

An episode number carries its writer: `episode = writer << 20 | n`, and a timestep's `_id` is
`episode << 20 | step`. A writer is one life of one worker process; it takes a fresh number when it starts, so a
restarted worker can never mix its timesteps with those of its former life, and every retry writes the same ids.
"""

from __future__ import annotations

STEP_BITS = 20
"""Control steps an episode can have: 2**20 (2.9 simulated hours)."""
EPISODE_BITS = 20
"""Episodes one life of a worker can write: 2**20."""
_WRITER_SHIFT = EPISODE_BITS + STEP_BITS


def episode_id(writer: int, number: int) -> int:
    """The id of a writer's `number`-th episode (from 0)."""
    if not 0 <= number < 1 << EPISODE_BITS:
        raise ValueError(
            f"episode number {number} does not fit {EPISODE_BITS} bits; restart the worker for a new writer"
        )
    if not 0 < writer < 1 << (63 - _WRITER_SHIFT):
        raise ValueError(f"writer number {writer} is outside 1..{(1 << (63 - _WRITER_SHIFT)) - 1}")
    return writer << EPISODE_BITS | number


def timestep_id(episode: int, step: int) -> int:
    """The `_id` of a timestep: sorts by writer, then episode, then step."""
    if not 0 <= step < 1 << STEP_BITS:
        raise ValueError(f"step {step} does not fit {STEP_BITS} bits; end the episode earlier")
    return episode << STEP_BITS | step


def timesteps_of_writer(writer: int) -> tuple[int, int]:
    """The lowest and the highest `_id` that a writer's timesteps can have."""
    return writer << _WRITER_SHIFT, ((writer + 1) << _WRITER_SHIFT) - 1


def writer_of_timestep(timestep: int) -> int:
    """Whose timestep an `_id` is."""
    return timestep >> _WRITER_SHIFT
