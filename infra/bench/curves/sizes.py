"""How much is learned."""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.bench.curves.contract import Setting, Task


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The defaults are the whole benchmark."""

    tasks: tuple[Task, ...] = (
        Task(name="Pendulum-v1", steps=8_000, evaluate_every=400),
        Task(name="InvertedDoublePendulum-v5", steps=30_000, evaluate_every=1_500),
    )
    """One that only ends by its time limit, and a harder one, of MuJoCo, that ends by falls as well."""
    seeds: tuple[int, ...] = tuple(range(10))
    """Of the runs of each task and learner. Five did not tell a learner from luck: on the harder task the peer's
    first five were ahead of its next five by 760, and spread by 170."""
    setting: Setting = field(default_factory=Setting)


QUICK = Sizes(
    tasks=(
        Task(name="Pendulum-v1", steps=2_400, evaluate_every=400),
        Task(name="InvertedDoublePendulum-v5", steps=2_400, evaluate_every=400),
    ),
    seeds=(0, 1),
)
"""Enough to see that everything works, not who learns better."""
