"""Many bodies of one model, moved by machine code: the native engine without any task, clock or file format."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.body_model import BodyModel
from environment.physics.native.compilation import compile_model
from environment.physics.native.layout import state_layout
from environment.physics.native.methods import Method
from environment.physics.native.references import Directory
from environment.physics.native.workspace import bodies, running, workspace

WIDTH = 8


class Engine:
    """A model compiled to tables, and room for `number` bodies of it."""

    def __init__(self, model: BodyModel, number: int, make_method: Any, *, skip_contacts: bool = True) -> None:
        from environment.physics.native.kernels import advance_1, advance_8

        self.model = model
        self.tables = compile_model(model)
        self.layout = state_layout(model)
        self.number = number
        self.method: Method = make_method(self.tables)
        self.bodies = bodies(self.tables, number, self.layout.size)
        self.width = WIDTH if number > 1 else 1
        self._advance = advance_8 if number > 1 else advance_1
        self._skip = skip_contacts
        self._directories = [
            Directory(arrays)
            for arrays in (
                self.tables,
                self.method,
                self.bodies,
                running(self.tables, len(self.method.error), self.width),
                workspace(self.tables, self.layout.size, self.width),
            )
        ]

    def advance(self, duration_s: float, first: int = 0, end: int | None = None) -> None:
        """Moves bodies first..end on by `duration_s` (0: not at all) and describes where they are."""
        last = self.number if end is None else end
        self._advance(*(one.entries for one in self._directories), self._skip, first, last, duration_s)
