"""A memory that was filled again from a checkpoint: is it the one that was stored, and does it draw as that would?"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from agents.checkpoints.contract import Blob
from agents.config import RunConfig
from agents.replay.contract import Replay
from agents.replay.runs import Run
from infra.faults.learning import checksum
from infra.faults.reader import GatedMirror, empty_mirror

_MIRROR = "mirror/"
_BATCH = 256
_BINS = 40
_SIGMAS = 6.0
"""By which the counts of draws may miss the priorities, all bins together."""

Floats = NDArray[np.float64]


def restored(blob: Blob, replay: Replay, run: Run, config: RunConfig) -> GatedMirror:
    """As the learner restores it."""
    mirror = empty_mirror(config, run)
    stored = {name.removeprefix(_MIRROR): array for name, array in blob.tensors.items() if name.startswith(_MIRROR)}
    mirror.restore(stored, replay, run.name)
    return mirror


def as_in_checkpoint(mirror: GatedMirror, blob: Blob, batch_size: int, drawn: int) -> dict[str, bool]:
    """`drawn`: the checksum of the first batch after the checkpoint, of the learner that was killed."""
    state = mirror.state_dict()
    same = all(np.array_equal(array, blob.tensors[f"{_MIRROR}{name}"]) for name, array in state.items())
    priorities = state["sampler/priorities"]
    text = f"{len(state['episodes'])} episodes, {len(priorities)} points from number {state['first_point'][0]}"
    first = checksum(mirror.sample(batch_size, _generator(blob)))
    return {
        f"episodes, places and priorities are those of the checkpoint: {text}": same and len(np.unique(priorities)) > 9,
        "the oldest episodes had left": int(state["first_point"][0]) > 0,
        "the checkpoint's generator draws the killed learner's next batch": first == drawn,
    }


def as_priorities_say(mirror: GatedMirror, blob: Blob, draws: int) -> dict[str, bool]:
    """Counts of many draws against the checkpoint's priorities, and against none to see that the test can tell."""
    priority = blob.tensors[f"{_MIRROR}sampler/priorities"].astype(np.float64)
    generator, counts = _generator(blob), Counter[int]()
    for _ in range(draws):
        number = mirror.sample(_BATCH, generator).number
        assert number is not None
        counts.update((number - int(blob.tensors[f"{_MIRROR}first_point"][0])).tolist())
    found = np.array([counts[place] for place in range(len(priority))], np.float64)
    asked, alike = priority / priority.sum(), (priority > 0) / np.count_nonzero(priority)
    far, farther = _far(found, asked, priority), _far(found, alike, priority)
    text = f"{draws * _BATCH:,} draws miss the priorities by {far:.1f} sigma, uniform ones by {farther:,.0f}"
    fits = far < _SIGMAS < farther and found[priority == 0].sum() == 0 and found.sum() == draws * _BATCH
    return {text: bool(fits)}


def _far(found: Floats, chance: Floats, priority: Floats) -> float:
    """Standard deviations of chi-squared by which counts exceed what `chance` leads to; points of like priority are
    counted together."""
    drawable = np.flatnonzero(priority > 0)
    bins = np.array_split(drawable[np.argsort(priority[drawable])], _BINS)
    seen = np.array([found[some].sum() for some in bins])
    expected = np.array([chance[some].sum() for some in bins]) * found.sum()
    freedom = _BINS - 1
    return float((((seen - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom))


def _generator(blob: Blob) -> np.random.Generator:
    generator = np.random.default_rng()
    generator.bit_generator.state = blob.metadata["sampling"]
    return generator
