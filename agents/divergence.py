"""What a resimulation found, for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from agents.resimulation import Divergence, Refused

PRECISION = (
    "Stored states are float32: differences down to about 6e-8 of each number (0.0001 mm at a metre) are rounding, "
    "not divergence."
)


def summary(reference: str, found: Sequence[Divergence | Refused]) -> dict[str, Any]:
    """Medians and worst over the episodes that could be compared; None where there is none."""
    compared = [item for item in found if isinstance(item, Divergence)]
    worst = max(compared, key=lambda item: item.com_largest_mm, default=None)
    return {
        "reference": reference,
        "stored_on": sorted({item.stored_physics for item in compared}),
        "episodes": len(compared),
        "not_replayable": len(found) - len(compared),
        "steps_compared": sum(item.steps_compared for item in compared),
        "com_largest_mm": _spread([item.com_largest_mm for item in compared]),
        "com_first_second_mm": _spread([item.com_first_second_mm for item in compared]),
        "com_final_mm": _spread([item.com_final_mm for item in compared]),
        "return_off": _spread([item.return_off for item in compared]),
        "same_fall": sum(item.same_fall for item in compared),
        "reference_failures": sum(item.reference_failure is not None for item in compared),
        "worst_episode": worst.episode if worst else None,
        "precision": PRECISION,
    }


def as_document(
    run: str, reference: str, found: Sequence[Divergence | Refused], left_out: Mapping[str, int]
) -> dict[str, Any]:
    """Everything: the summary, each episode, and those that could not be compared with their reasons.

    Args:
        left_out: How many episodes were not to choose from, by reason.
    """
    return {
        "run": run,
        "summary": summary(reference, found) | {"left_out": dict(left_out)},
        "episodes": [
            asdict(item) | {"return_off": item.return_off, "same_fall": item.same_fall}
            for item in found
            if isinstance(item, Divergence)
        ],
        "not_replayable": [asdict(item) for item in found if isinstance(item, Refused)],
    }


HEADER = (
    f"{'episode':>12} {'steps':>11} {'com mm':>9} {'1st s':>9} {'final':>9} {'return':>9} {'off':>9} "
    f"{'falls at':>11}  worst number of the state"
)


def left_out_text(left_out: Mapping[str, int]) -> str:
    """One line over the table, empty where nothing is left out."""
    parts = [f"{count:,} {reason.replace('_', ' ')}" for reason, count in left_out.items() if count]
    return f"left out: {', '.join(parts)}; --ids takes any" if parts else ""


def row(item: Divergence | Refused) -> str:
    """One line of the table under `HEADER`."""
    if isinstance(item, Refused):
        return f"{item.episode:>12} not replayable: {item.reason}"
    steps = f"{item.steps_compared}/{item.steps}"
    falls = f"{item.fall_step_stored or '-'}, {item.fall_step_reference or '-'}"
    line = (
        f"{item.episode:>12} {steps:>11} {item.com_largest_mm:>9.3g} {item.com_first_second_mm:>9.3g} "
        f"{item.com_final_mm:>9.3g} {item.return_stored:>9,.1f} {_percent(item.return_off):>9} {falls:>11}  "
        f"{item.worst_entry} {item.worst_relative:.2g} at step {item.worst_step}; stored on {item.stored_physics}"
    )
    return line + (f"; the reference failed in {item.reference_failure}" if item.reference_failure else "")


def as_text(found: dict[str, Any]) -> str:
    """The summary in three lines."""
    if not found["episodes"]:
        return f"none of {found['not_replayable']} episodes could be compared with {found['reference']}"
    com, first, off = found["com_largest_mm"], found["com_first_second_mm"], found["return_off"]
    count = f"{found['episodes']} episode{'s' if found['episodes'] > 1 else ''}"
    refused = f", {found['not_replayable']} not replayable" if found["not_replayable"] else ""
    failed = f", the reference failed in {found['reference_failures']}" if found["reference_failures"] else ""
    return (
        f"{count}, {found['steps_compared']:,} steps of {', '.join(found['stored_on'])} "
        f"on {found['reference']}{refused}{failed}\n"
        f"  centre of mass off {com['median']:.3g} mm (median), {com['worst']:.3g} mm (worst, episode "
        f"{found['worst_episode']}); in the first second {first['median']:.3g} and {first['worst']:.3g} mm; "
        f"return off {_percent(off['median'])} and {_percent(off['worst'])}; "
        f"same fall step in {found['same_fall']} of {found['episodes']}\n"
        f"  {found['precision']}"
    )


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    return {"median": float(np.median(values)), "worst": float(np.max(values))} if values else None


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%"
