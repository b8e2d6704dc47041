"""From a `BodyModel` to the tables that the machine code reads."""

from __future__ import annotations

from environment.body_model import BodyModel
from environment.physics.native.compilation.forces import compile_contacts, compile_muscles, compile_springs
from environment.physics.native.compilation.functions import SplineTable
from environment.physics.native.compilation.paths import compile_paths
from environment.physics.native.compilation.records import compile_records
from environment.physics.native.compilation.skeleton import assemble
from environment.physics.native.tables import Tables


def compile_model(model: BodyModel) -> Tables:
    """The tables of a model.

    Raises: ValueError when its equations can not be set up, e.g. a coordinate that moves nothing.
    """
    splines = SplineTable()
    assembly = assemble(model, splines)
    return Tables(
        skeleton=assembly.skeleton,
        paths=compile_paths(model, assembly, splines),
        muscles=compile_muscles(model),
        contacts=compile_contacts(model, assembly),
        springs=compile_springs(model, assembly),
        records=compile_records(model, assembly),
        splines=splines.tables(),
    )
