"""The report's page: Markdown that can be read on its own, with its pictures beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.gait.plot import headline
from agents.official.figures import Figures
from agents.official.verdict import verdict
from agents.replay.runs import Run
from infra.report.curve import Curve
from infra.report.origin import Origin
from infra.report.scores import HeldOut
from infra.report.timeline import Timeline

_HEADS = {
    "policy": "as osim-rl integrates",
    "tight": "integrated tightly",
    "standing": "standing (ideal)",
    "blind_walking": "blind walking (ideal)",
    "random": "random actions",
}
_ROWS: Mapping[str, tuple[str, str]] = {
    "mean": ("mean", ",.0f"),
    "std": ("standard deviation", ",.0f"),
    "worst": ("worst episode", ",.0f"),
    "fall_rate": ("fell", ".0%"),
    "steps_to_fall": ("steps of 10 ms until a fall", ".0f"),
    "walked_rate": ("walked {walked_m:g} m without a fall", ".0%"),
    "distance_m": ("distance, m", ".2f"),
    "speed_error_m_per_s": ("velocity off by, m/s", ".3f"),
    "normalised": ("(R - standing) / (largest - standing)", ".3f"),
    "grader_mean": ("mean on the grader's seeds 11, 22, 33", ",.0f"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a report is made of."""

    run: Run
    origin: Origin
    timeline: Timeline
    totals: Mapping[str, int]
    """`timesteps` and `episodes` to learn from, `scored_timesteps`, `updates` and `versions` of the run."""
    curve: Curve | None
    version: int | None
    """The one that is shown: the best, or None while there is none."""
    held_out: HeldOut | None
    missing: Sequence[str]
    """What the report lacks, and why, in whole sentences."""
    video: bool


def spent(findings: Findings) -> str:
    """`53 min wall-clock, 2,768,108 timesteps, 120,075 updates, 1.6 core-hours`"""
    totals, wall_s, used_s = findings.totals, findings.timeline.wall_s(), findings.timeline.processor_s()
    cores = "core-hours not noted" if used_s is None else f"{used_s / 3600:.3g} core-hours"
    return f"{_span(wall_s)} wall-clock, {totals['timesteps']:,} timesteps, {totals['updates']:,} updates, {cores}"


def table(held_out: HeldOut) -> list[list[str]]:
    """Rows of cells, heads first."""
    columns = {who: held_out.columns[who] for who in _HEADS}
    rows = [["", *(_HEADS[who] for who in columns)]]
    for name, (label, form) in _ROWS.items():
        label = label.format(walked_m=held_out.as_osim_rl.walked_m)
        rows.append([label, *(_cell(figures, name, form) for figures in columns.values())])
    return rows


def page(findings: Findings) -> str:
    """The whole of it."""
    run = findings.run
    parts = [f"# Run {run.name}: {run.task}", spent(findings) + ".", *findings.missing]
    if findings.held_out is not None:
        parts += _scores(findings, findings.held_out)
    if findings.curve is not None:
        parts += _curve(findings.curve)
    if findings.held_out is not None:
        seed = findings.held_out.median_seed
        parts += ["## Gait", f"{headline(findings.held_out.card)} on the held-out seeds.", "![gait card](gait.png)"]
        if findings.video:
            parts.append(f"[walk.mp4](walk.mp4) shows the median of the tightly integrated episodes, seed {seed}.")
    return "\n\n".join([*parts, *_origin(findings)]) + "\n"


def _scores(findings: Findings, held_out: HeldOut) -> list[str]:
    rounds, version = held_out.as_osim_rl, findings.version
    seeds, chosen = rounds.seeds, set(() if findings.curve is None else findings.curve.seeds)
    met = sorted(chosen & {*seeds, *rounds.grader})
    which = "trained on none of them" + (", nor chosen by them" if not met else f", but chosen by {met} among others")
    confirm = f"python -m agents evaluate --official --run {findings.run.name} --version best"
    return [
        f"## Version {version} on {len(seeds)} held-out seeds",
        f"**{verdict(rounds)}**",
        _markdown(table(held_out)),
        f"On the native engine, seeds {seeds[0]} to {seeds[-1]}; the version was {which}. Standing, blind walking and "
        f"random actions are on the same seeds. What OpenSim says, in minutes and with both rounds: `{confirm}`.",
    ]


def _curve(curve: Curve) -> list[str]:
    seeds = f"{len(curve.seeds)} seeds ({curve.seeds[0]} to {curve.seeds[-1]})"
    how = f"{len(curve.points)} versions were scored on {curve.physics}, {seeds}"
    if curve.reference != curve.physics:
        how += f"; one that beat all before was played again on {curve.reference}, which decides what is best"
    last = curve.points[-1] if curve.points else None
    found = ["## Learning curve", f"{how}.", "![learning curve](curves.png)"]
    if last is not None and last.processor_s is None:
        found.append("The run's sessions did not note their processor time, so it is not drawn.")
    return [*found, "Every point's numbers: [curves.json](curves.json)."]


def _origin(findings: Findings) -> list[str]:
    run, origin, timeline, totals = findings.run, findings.origin, findings.timeline, findings.totals
    learner, evaluation = run.config.get("learner", {}), run.config.get("evaluation", {})
    seeds = evaluation.get("seeds", [])
    rows = [
        ["", ""],
        ["task", run.task],
        ["recipe", (origin.recipe or "none, the defaults") + ("" if not origin.settings else ", but for the below")],
        ["physics of the rollouts", run.physics],
        ["sees, learns for", f"{run.observation}, {run.reward}"],
        ["code", ", ".join(origin.code_versions)],
        ["machine", ", ".join(origin.machines) or "not noted"],
        ["seed of the learner", str(learner.get("seed", 0))],
        ["seeds of the choice", f"{len(seeds)}: {', '.join(map(str, seeds[:3]))}{' …' if len(seeds) > 3 else ''}"],
        ["wall-clock", _wall(timeline, origin)],
        ["core-hours", _core_hours(timeline)],
        [
            "collected",
            f"{totals['timesteps']:,} timesteps in {totals['episodes']:,} episodes, and {totals['scored_timesteps']:,} "
            "timesteps to score versions",
        ],
        ["learned", f"{totals['updates']:,} updates, {totals['versions']:,} versions published"],
    ]
    found = ["## How it was made", _markdown(rows)]
    if origin.commands:
        found += ["What was typed:", "```\n" + "\n".join(origin.commands) + "\n```"]
    options = [f"--recipe {origin.recipe}"] if origin.recipe else []
    options += [f"--set '{setting}'" for setting in origin.settings]
    again = " \\\n    ".join(["python -m infra run --run ANOTHER-NAME", *options])
    return [*found, "The same settings again:", f"```\n{again}\n```"]


def _wall(timeline: Timeline, origin: Origin) -> str:
    text = _span(timeline.wall_s())
    if timeline.by_hand:
        return f"{text}, from the first event to the last: its processes were started by hand"
    return f"{text} in {origin.sessions} session{'s' if origin.sessions > 1 else ''}, pauses left out"


def _core_hours(timeline: Timeline) -> str:
    roles, total_s = timeline.by_role(), timeline.processor_s()
    if roles is None or total_s is None:
        return "not noted by the run's sessions"
    each = ", ".join(f"{role} {seconds / 3600:.3g}" for role, seconds in roles.items())
    return f"{total_s / 3600:.3g} ({each})"


def _span(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 3 * 3600 else f"{seconds / 3600:.2f} h"


def _cell(figures: Figures, name: str, form: str) -> str:
    value = figures.get(name)
    return "" if value is None else format(value, form)


def _markdown(rows: Sequence[Sequence[Any]]) -> str:
    head, *others = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)] if len(head) > 2 else ["---"] * len(head), *others]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
