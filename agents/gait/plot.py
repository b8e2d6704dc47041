"""The gait card as a picture, and as a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.gait.card import GaitCard, Number
from agents.gait.feet import LEGS
from environment.timestep import CONTROL_STEP_S

_COLOURS = {"right": "tab:orange", "left": "tab:blue"}


def plot(card: GaitCard, path: Path, title: str) -> None:
    """Four panels: the ground's reaction over a stride, the legs' steps, the muscles, and one episode's speed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), layout="constrained")
    figure.suptitle(f"{title}\n{headline(card)}")
    (forces, legs), (muscles, speed) = figure.subplots(2, 2)
    _draw_forces(forces, card)
    _draw_legs(legs, card)
    _draw_muscles(muscles, card)
    _draw_speed(speed, card)
    figure.savefig(path, dpi=110)


def headline(card: GaitCard) -> str:
    """`1.24 m/s, 108 steps a minute, effort 1.9 s/m; 53 episodes`"""
    parts = [
        f"{_text(card.speed_m_per_s, '.2f')} m/s",
        f"{_text(card.cadence_steps_per_minute, '.0f')} steps a minute",
        f"effort {_text(card.effort_per_metre_s, '.2f')} s/m",
    ]
    return f"{', '.join(parts)}; {card.episodes} episode{'s' if card.episodes > 1 else ''}"


def lines(card: GaitCard) -> Sequence[str]:
    """For a terminal."""
    rows: list[tuple[str, str, str]] = [
        ("step_length_m", "step length, m", ".3f"),
        ("stride_length_m", "stride length, m", ".3f"),
        ("frequency_hz", "frequency, strides/s", ".2f"),
        ("stance_share", "stance, share of a stride", ".2f"),
        ("peak_body_weights", "peak force, body weights", ".2f"),
    ]
    head = f"  {'':26} {'right':>8} {'left':>8} {'asymmetry':>10}"
    told = [f"gait: {headline(card)}", head]
    for name, label, form in rows:
        values = " ".join(f"{_text(getattr(card.legs[leg], name), form):>8}" for leg in LEGS)
        told.append(f"  {label:26} {values} {_text(card.asymmetry[name], '+.0%'):>10}")
    strongest = sorted(card.activation.items(), key=lambda item: -item[1])[:5]
    told.append("  most active: " + ", ".join(f"{muscle} {value:.2f}" for muscle, value in strongest))
    return told


def _draw_forces(axes: Any, card: GaitCard) -> None:
    for leg in LEGS:
        cycle = card.legs[leg].cycle_body_weights
        if cycle:
            axes.plot(np.linspace(0, 100, len(cycle)), cycle, color=_COLOURS[leg], label=leg)
    if axes.lines:
        axes.legend(frameon=False)
    else:
        axes.text(0.5, 0.5, "no stride", ha="center", transform=axes.transAxes)
    axes.axhline(1.0, color="gray", linewidth=0.8, linestyle=":")
    axes.set(title="vertical ground reaction", xlabel="% of the stride, from the heel's strike", ylabel="body weights")


def _draw_legs(axes: Any, card: GaitCard) -> None:
    names = {
        "step_length_m": "step length, m",
        "stride_length_m": "stride length, m",
        "frequency_hz": "strides/s",
        "stance_share": "stance share",
        "peak_body_weights": "peak, body weights",
    }
    axes.set(title="the legs")
    if not any(card.legs[leg].steps for leg in LEGS):
        axes.text(0.5, 0.5, "no step", ha="center", transform=axes.transAxes)
        return
    places = np.arange(len(names))
    for shift, leg in zip((-0.2, 0.2), LEGS, strict=True):
        values = [getattr(card.legs[leg], name) or 0.0 for name in names]
        bars = axes.bar(places + shift, values, 0.4, color=_COLOURS[leg], label=leg)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.set_xticks(places, names.values(), rotation=15)
    axes.legend(frameon=False)


def _draw_muscles(axes: Any, card: GaitCard) -> None:
    muscles = list(card.activation)
    colours = [_COLOURS["right" if muscle.endswith("_r") else "left"] for muscle in muscles]
    axes.barh(muscles, list(card.activation.values()), color=colours)
    axes.invert_yaxis()
    axes.set(title="mean activation", xlim=(0, 1))


def _draw_speed(axes: Any, card: GaitCard) -> None:
    trace = card.trace
    if trace is None:
        return
    seconds = CONTROL_STEP_S * np.arange(1, len(trace.pelvis_m_per_s) + 1)
    for column, name, colour in ((0, "forward", "black"), (1, "to the right", "tab:green")):
        axes.plot(seconds, trace.pelvis_m_per_s[:, column], color=colour, label=name)
        axes.plot(seconds, trace.target_m_per_s[:, column], color=colour, linestyle="--", linewidth=1)
    axes.legend(frameon=False)
    axes.set(title=f"pelvis, seed {trace.seed} (dashed: asked for)", xlabel="s", ylabel="m/s")


def _text(value: Number, form: str) -> str:
    return "-" if value is None else format(value, form)
