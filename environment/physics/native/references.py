"""Named tuples of arrays as machine code sees them: one pointer to a directory of addresses and shapes.

Numba can read tuples of arrays, but counts references to every array of the tuple at each access and call, which cost
ten times the equations themselves. A `Reference` counts nothing: who calls the machine code keeps the arrays alive (see
`Directory`). Its fields are `Column`s, read with `column[i]` and `column[i, k]`, or through `load` and `store`.
"""

from __future__ import annotations

import operator
from typing import Any, get_type_hints

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_getattr_generic, models, register_model
from numpy.typing import NDArray

_INT64 = ir.IntType(64)
# Address, rows, entries per row.
_ENTRIES_PER_COLUMN = 3


class Directory:
    """A named tuple of contiguous arrays (nested ones too), kept alive, and where they are."""

    def __init__(self, arrays: Any) -> None:
        _check(arrays)
        self.arrays = arrays
        self.entries: NDArray[np.int64] = np.array(_entries(arrays), np.int64)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A copy would go on pointing at the original's memory.

        Raises: TypeError, whenever it is copied or pickled.
        """
        raise TypeError("a native body can not be copied or pickled; make another one, and use snapshot and restore")


def _check(arrays: Any) -> None:
    for (name, hint), value in zip(get_type_hints(type(arrays)).items(), arrays, strict=True):
        if isinstance(value, tuple):
            _check(value)
            continue
        dtype = np.dtype(np.int64 if hint == NDArray[np.int64] else np.float64)
        if value.dtype != dtype or not value.flags.c_contiguous:
            kind = value.dtype if value.flags.c_contiguous else f"{value.dtype} with gaps"
            raise TypeError(f"machine code needs {name} to be a contiguous array of {dtype}, it is {kind}")


def _entries(arrays: Any) -> list[int]:
    entries: list[int] = []
    for value in arrays:
        if isinstance(value, tuple):
            entries += _entries(value)
        else:
            entries += [value.ctypes.data, value.shape[0], int(np.prod(value.shape[1:]))]
    return entries


class Column(types.Type):
    """One array of a directory. `constant`: nothing writes to it while machine code runs."""

    def __init__(self, whole_numbers: bool, constant: bool) -> None:
        self.whole_numbers, self.constant = whole_numbers, constant
        super().__init__(name=f"Column({whole_numbers}, {constant})")

    @property
    def element(self) -> types.Type:
        return types.int64 if self.whole_numbers else types.float64


class Reference(types.Type):
    """A named tuple of arrays."""

    def __init__(self, cls: type, constant: bool) -> None:
        self.constant = constant
        self.fields: dict[str, tuple[types.Type, int]] = {}
        self.size = 0
        for name, hint in get_type_hints(cls).items():
            nested = isinstance(hint, type) and issubclass(hint, tuple)
            field = Reference(hint, constant) if nested else Column(hint == NDArray[np.int64], constant)
            self.fields[name] = field, self.size
            self.size += field.size if isinstance(field, Reference) else _ENTRIES_PER_COLUMN
        super().__init__(name=f"Reference({cls.__name__}, {constant})")


class _PointerModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _INT64.as_pointer())


register_model(Column)(_PointerModel)
register_model(Reference)(_PointerModel)


@infer_getattr
class _Fields(AttributeTemplate):
    key = Reference

    def generic_resolve(self, kind: Reference, name: str) -> Any:
        return kind.fields[name][0] if name in kind.fields else None


@lower_getattr_generic(Reference)
def _field(context: Any, builder: Any, kind: Any, value: Any, name: str) -> Any:
    return builder.gep(value, [ir.Constant(_INT64, kind.fields[name][1])])


def _invariant(builder: Any, pointer: Any) -> Any:
    """A load that may be moved and merged: the memory does not change while machine code runs."""
    instruction = builder.load(pointer)
    instruction.set_metadata("invariant.load", builder.module.add_metadata([]))
    return instruction


def entry(builder: Any, column: Any, number: int) -> Any:
    """0: address, 1: rows, 2: entries per row of a column."""
    return _invariant(builder, builder.gep(column, [ir.Constant(_INT64, number)]))


def element_pointer(builder: Any, column: Any, element: ir.Type, position: Any) -> Any:
    """Pointer to the element at a flat position."""
    return builder.gep(builder.inttoptr(entry(builder, column, 0), element.as_pointer()), [position])


@infer_global(operator.getitem)
class _Getitem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        column, index = args
        if not isinstance(column, Column):
            return None
        if isinstance(index, types.Integer):
            return signature(column.element, column, types.intp)
        if isinstance(index, types.BaseTuple) and len(index) == 2:
            return signature(column.element, column, types.UniTuple(types.intp, 2))
        return None


def _position(builder: Any, column: Any, index: Any) -> Any:
    start = builder.mul(builder.extract_value(index, 0), entry(builder, column, 2))
    return builder.add(start, builder.extract_value(index, 1))


def _read(builder: Any, kind: Column, column: Any, position: Any) -> Any:
    pointer = element_pointer(builder, column, _INT64 if kind.whole_numbers else ir.DoubleType(), position)
    return _invariant(builder, pointer) if kind.constant else builder.load(pointer)


@lower_builtin(operator.getitem, Column, types.Integer)
def _getitem(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _read(builder, sig.args[0], args[0], args[1])


@lower_builtin(operator.getitem, Column, types.UniTuple)
def _getitem2(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _read(builder, sig.args[0], args[0], _position(builder, args[0], args[1]))


@infer_global(operator.setitem)
class _Setitem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        column, index, _ = args
        if not isinstance(column, Column) or column.constant:
            return None
        if isinstance(index, types.Integer):
            return signature(types.void, column, types.intp, column.element)
        if isinstance(index, types.BaseTuple) and len(index) == 2:
            return signature(types.void, column, types.UniTuple(types.intp, 2), column.element)
        return None


@lower_builtin(operator.setitem, Column, types.Integer, types.Any)
def _setitem(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    element = _INT64 if sig.args[0].whole_numbers else ir.DoubleType()
    builder.store(args[2], element_pointer(builder, args[0], element, args[1]))
    return context.get_dummy_value()


@lower_builtin(operator.setitem, Column, types.UniTuple, types.Any)
def _setitem2(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _setitem(context, builder, sig, (args[0], _position(builder, args[0], args[1]), args[2]))


@infer_global(len)
class _Len(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(types.intp, *args) if isinstance(args[0], Column) else None


@lower_builtin(len, Column)
def _len(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return entry(builder, args[0], 1)


@intrinsic
def take(typing: Any, column: Any, position: Any, number: Any) -> Any:
    """Adds to a whole number of a column and returns what it was, while no other thread comes in between."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = element_pointer(builder, args[0], _INT64, args[1])
        return builder.atomic_rmw("add", pointer, args[2], "monotonic")

    return signature(types.intp, column, types.intp, types.intp), lower


def referrer(cls: type, *, constant: bool) -> Any:
    """A function for machine code that takes `Directory.entries` of a `cls` and gives the reference to it."""
    kind = Reference(cls, constant)

    @intrinsic
    def refer(typing: Any, entries: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return context.make_array(entries)(context, builder, args[0]).data

        return signature(kind, entries), lower

    return refer
