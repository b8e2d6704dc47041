"""A Numba type for one number of several bodies at once: `Lanes(8)` is eight float64 in one vector register.

The engine's equations are written once, as ordinary arithmetic. Called with `Lanes(1)` they move one body, with
`Lanes(8)` eight, each operation one processor instruction for all of them. LLVM's own vectoriser can not do this: it
gives up on loops over several arrays that might overlap.

Every operation is IEEE 754's (`fma` rounds once, and only where it is written), and none mixes lanes. So a body's
numbers do not depend on how many lanes there are or which one it is in: bit for bit.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast, models, register_model

from environment.physics.native.references import element_pointer

_DOUBLE = ir.DoubleType()
_BIT = ir.IntType(1)
_INT64 = ir.IntType(64)


class Lanes(types.Type):
    """`width` float64."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Lanes({width})")

    def can_convert_from(self, context: Any, other: Any) -> Any:
        """Plain numbers can be put into every lane."""
        return Conversion.safe if isinstance(other, types.Float | types.Integer) else None


class Mask(types.Type):
    """`width` truth values: what a comparison of lanes gives."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Mask({width})")


class Indices(types.Type):
    """`width` int64: where in a table each lane looks."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Indices({width})")


def _model_of(element: ir.Type) -> Any:
    class Model(models.PrimitiveModel):
        def __init__(self, manager: Any, kind: Any) -> None:
            super().__init__(manager, kind, ir.VectorType(element, kind.width))

    return Model


register_model(Lanes)(_model_of(_DOUBLE))
register_model(Mask)(_model_of(_BIT))
register_model(Indices)(_model_of(_INT64))


def _vector(builder: Any, value: Any, width: int) -> Any:
    """The same number in every lane."""
    kind = ir.VectorType(value.type, width)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)


def _width(args: tuple[Any, ...]) -> int | None:
    """The width when the operands are lanes and plain numbers, at least one of them lanes."""
    widths = {arg.width for arg in args if isinstance(arg, Lanes)}
    fits = all(isinstance(arg, Lanes | types.Float | types.Integer) for arg in args)
    return widths.pop() if len(widths) == 1 and fits else None


def _register(function: Any, result: Callable[[int], types.Type], lower: Callable[..., Any], operands: int) -> None:
    """Teaches Numba `function` of lanes; plain numbers among the operands are put into every lane."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if kws or len(args) != operands:
                return None
            width = _width(args)
            return signature(result(width), *([Lanes(width)] * operands)) if width else None

    infer_global(function)(Template)
    lower_builtin(function, *([Lanes] * operands))(
        lambda context, builder, sig, args: lower(builder, args, sig.args[0].width)
    )


@lower_cast(types.Float, Lanes)
@lower_cast(types.Integer, Lanes)
def _cast_number(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    return _vector(builder, context.cast(builder, value, fromty, types.float64), toty.width)


for _function, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _register(_function, Lanes, lambda b, a, w, name=_instruction: getattr(b, name)(*a), 2)
for _function, _sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
):
    _register(_function, Mask, lambda b, a, w, sign=_sign: b.fcmp_ordered(sign, *a), 2)
_register(operator.neg, Lanes, lambda b, a, w: b.fneg(*a), 1)


class _MaskOperator(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        fits = args and all(isinstance(arg, Mask) and arg == args[0] for arg in args)
        return signature(args[0], *args) if fits else None


for _function, _instruction in ((operator.and_, "and_"), (operator.or_, "or_")):
    infer_global(_function)(_MaskOperator)
    lower_builtin(_function, Mask, Mask)(lambda c, b, s, a, name=_instruction: getattr(b, name)(*a))
infer_global(operator.invert)(_MaskOperator)
lower_builtin(operator.invert, Mask)(lambda c, b, s, a: b.not_(*a))


def _pointwise(name: str, operands: int) -> Any:
    """LLVM's intrinsic of that name, lane by lane."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.VectorType(_DOUBLE, sig.return_type.width)
        full_name = f"llvm.{name}.v{kind.count}f64"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * operands), full_name)
        return builder.call(function, args)

    return lower


def _signature_of(args: tuple[Any, ...]) -> Any:
    width = _width(args)
    return signature(Lanes(width), *([Lanes(width)] * len(args))) if width else None


@intrinsic
def sqrt(typing: Any, x: Any) -> Any:
    """Correctly rounded."""
    return _signature_of((x,)), _pointwise("sqrt", 1)


@intrinsic
def absolute(typing: Any, x: Any) -> Any:
    return _signature_of((x,)), _pointwise("fabs", 1)


@intrinsic
def nearest(typing: Any, x: Any) -> Any:
    """To the nearest integer, halves to the even one."""
    return _signature_of((x,)), _pointwise("rint", 1)


@intrinsic
def fma(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """x · y + z, rounded once."""
    return _signature_of((x, y, z)), _pointwise("fma", 3)


@intrinsic
def select(typing: Any, mask: Any, yes: Any, no: Any) -> Any:
    """`yes` where the mask is true, else `no`; the other one's value, NaN included, leaves no trace."""
    if not isinstance(mask, Mask) or _width((yes, no, Lanes(mask.width))) is None:
        return None
    kind = Lanes(mask.width)
    return signature(kind, mask, kind, kind), lambda context, builder, sig, args: builder.select(*args)


@intrinsic
def some(typing: Any, mask: Any) -> Any:
    """Whether the mask is true in any lane."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(mask.width))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return signature(types.boolean, mask), lower


def _row_pointer(builder: Any, column: Any, row: Any, width: int) -> Any:
    kind = ir.VectorType(_DOUBLE, width)
    pointer = element_pointer(builder, column, _DOUBLE, builder.mul(row, ir.Constant(_INT64, width)))
    return builder.bitcast(pointer, kind.as_pointer())


@intrinsic
def load(typing: Any, like: Any, column: Any, row: Any) -> Any:
    """A row of a (rows, width) column, as lanes of `like`'s kind. Unchecked."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_row_pointer(builder, args[1], args[2], like.width), align=8)

    return signature(like, like, column, types.intp), lower


@intrinsic
def store(typing: Any, column: Any, row: Any, value: Any) -> Any:
    """Sets a row of a (rows, width) column. Unchecked."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _row_pointer(builder, args[0], args[1], value.width), align=8)
        return context.get_dummy_value()

    return signature(types.void, column, types.intp, value), lower


@intrinsic
def fill(typing: Any, like: Any, number: Any) -> Any:
    """The number in every lane."""
    return signature(like, like, types.float64), lambda context, builder, sig, args: _vector(
        builder, args[1], like.width
    )


@intrinsic
def truncated(typing: Any, x: Any) -> Any:
    """Integers below the values' magnitudes, as table positions; the values must be finite and small."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fptosi(args[0], ir.VectorType(_INT64, x.width))

    return signature(Indices(x.width), x), lower


@intrinsic
def gather(typing: Any, table: Any, start: Any, stride: Any, offset: Any, indices: Any) -> Any:
    """Each lane its own `table[start + stride · index + offset]`. Unchecked."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        first = builder.add(args[1], args[3])
        positions = builder.mul(args[4], _vector(builder, args[2], indices.width))
        result = ir.Constant(ir.VectorType(_DOUBLE, indices.width), ir.Undefined)
        for lane in range(indices.width):
            at = ir.Constant(ir.IntType(32), lane)
            position = builder.add(first, builder.extract_element(positions, at))
            element = builder.load(element_pointer(builder, args[0], _DOUBLE, position))
            result = builder.insert_element(result, element, at)
        return result

    return signature(Lanes(indices.width), table, types.intp, types.intp, types.intp, indices), lower


@intrinsic
def power_of_two(typing: Any, exponent: Any) -> Any:
    """2 to an integer-valued exponent within -1022..1023."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        integers = ir.VectorType(_INT64, exponent.width)
        biased = builder.add(builder.fptosi(args[0], integers), ir.Constant(integers, [1023] * exponent.width))
        shifted = builder.shl(biased, ir.Constant(integers, [52] * exponent.width))
        return builder.bitcast(shifted, ir.VectorType(_DOUBLE, exponent.width))

    return signature(exponent, exponent), lower


@intrinsic
def zeros(typing: Any, width: Any) -> Any:
    """Lanes of zeros; the width is a literal, such as `zeros(8)`."""
    if not isinstance(width, types.IntegerLiteral):
        return None
    kind = Lanes(width.literal_value)
    constant = ir.Constant(ir.VectorType(_DOUBLE, kind.width), [0.0] * kind.width)
    return signature(kind, width), lambda context, builder, sig, args: constant
