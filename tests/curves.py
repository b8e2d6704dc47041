"""The curves that a process has drawn, as TensorBoard reads them."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

Points = list[tuple[int, float]]
"""Steps and values."""


def curves_in(folder: Path) -> dict[str, Points]:
    """By name, of the files in `folder`."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [(point.step, point.value) for point in events.Scalars(name)] for name in events.Tags()["scalars"]}
