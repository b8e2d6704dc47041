"""A round's figures as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from agents.official.figures import UNITS, RoundScores

_LABELS = {
    "mean": ("mean", ",.1f"),
    "std": ("standard deviation", ",.1f"),
    "worst": ("worst", ",.1f"),
    "fall_rate": ("fall", ".1%"),
    "steps_to_fall": ("steps until they fall", ".0f"),
    "walked_rate": ("walked", ".1%"),
    "distance_m": ("distance, m", ".2f"),
    "speed_m_per_s": ("speed, m/s", ".3f"),
    "speed_error_m_per_s": ("velocity off by, m/s", ".3f"),
    "normalised": ("(R - standing) / (largest - standing)", ".3f"),
    "grader_mean": ("mean on the grader's seeds", ",.1f"),
}
_NAMES = {"policy": "policy", "native": "on native", "blind_walking": "blind walking"}
_FIRST, _OTHERS = 38, 14


def table(scores: RoundScores) -> str:
    """The policy, the same on the native engine, and who does nothing, walks blindly or at random."""
    columns = scores.columns
    title = f"{scores.round_name}, held-out seeds {scores.seeds[0]} to {scores.seeds[-1]}"
    lines = [_line(title, [_NAMES.get(who, who) for who in columns])]
    for name in UNITS:
        label, form = _LABELS[name]
        if name == "walked_rate":
            label = f"walked {scores.walked_m:g} m without a fall"
        values = [figures.get(name) for figures in columns.values()]
        lines.append(_line(f"  {label}", ["-" if value is None else format(value, form) for value in values]))
    graded = ", ".join(f"{one.seed}: {one.episode_return:,.1f}" for one in scores.graded("policy"))
    lines.append(f"  grader's seeds  {graded}")
    difference = scores.difference()
    if difference is not None:
        lines.append(
            f"  minus native, episode by episode: mean {difference['mean']:+,.1f}, median size "
            f"{difference['median_size']:,.2f}, largest {difference['largest_size']:,.1f}; "
            f"{difference['same_ending_rate']:.0%} end alike"
        )
    return "\n".join(lines)


def _line(first: str, others: Sequence[str]) -> str:
    return (f"{first:<{_FIRST}}" + "".join(f"{other:>{_OTHERS}}" for other in others)).rstrip()
