"""Elementary functions and three-dimensional vectors of lanes. Vectors are tuples, matrices are tuples row by row."""

from __future__ import annotations

from environment.physics.native.jit import inner
from environment.physics.native.lanes import fill, fma, gather, load, nearest, power_of_two, select, store, truncated

_LOG2_E = 1.4426950408889634
# ln 2 and pi/2 in parts, the leading ones with few enough bits that a whole number times them is exact.
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_TWO_OVER_PI = 0.6366197723675814
_HALF_PI_1, _HALF_PI_2, _HALF_PI_3 = 1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21


@inner
def exp(x):
    """Within one unit in the last place; from -708 down and from 709 up it stays as it is there."""
    x = select(x < -708.0, -708.0, x)
    x = select(x > 709.0, 709.0, x)
    n = nearest(x * _LOG2_E)
    r = fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, x))
    # Taylor's series on |r| <= ln(2)/2, whose next term is below 1e-17.
    p = fma(r, 1 / 6227020800.0, 1 / 479001600.0)
    p = fma(p, r, 1 / 39916800.0)
    p = fma(p, r, 1 / 3628800.0)
    p = fma(p, r, 1 / 362880.0)
    p = fma(p, r, 1 / 40320.0)
    p = fma(p, r, 1 / 5040.0)
    p = fma(p, r, 1 / 720.0)
    p = fma(p, r, 1 / 120.0)
    p = fma(p, r, 1 / 24.0)
    p = fma(p, r, 1 / 6.0)
    p = fma(p, r, 0.5)
    p = fma(p, r, 1.0)
    p = fma(p, r, 1.0)
    return p * power_of_two(n)


@inner
def sin_cos(x):
    """(sin x, cos x) within two units in the last place, for angles up to some thousand turns."""
    n = nearest(x * _TWO_OVER_PI)
    r = fma(n, -_HALF_PI_3, fma(n, -_HALF_PI_2, fma(n, -_HALF_PI_1, x)))
    r2 = r * r
    # Taylor's series on |r| <= pi/4.
    s = fma(r2, 1 / 355687428096000.0, -1 / 1307674368000.0)
    s = fma(s, r2, 1 / 6227020800.0)
    s = fma(s, r2, -1 / 39916800.0)
    s = fma(s, r2, 1 / 362880.0)
    s = fma(s, r2, -1 / 5040.0)
    s = fma(s, r2, 1 / 120.0)
    s = fma(s, r2, -1 / 6.0)
    s = fma(s * r2, r, r)
    c = fma(r2, 1 / 20922789888000.0, -1 / 87178291200.0)
    c = fma(c, r2, 1 / 479001600.0)
    c = fma(c, r2, -1 / 3628800.0)
    c = fma(c, r2, 1 / 40320.0)
    c = fma(c, r2, -1 / 720.0)
    c = fma(c, r2, 1 / 24.0)
    c = fma(c, r2, -0.5)
    c = fma(c, r2, 1.0)
    quadrant = n - 4.0 * nearest(fma(n, 0.25, -0.375))
    odd = (quadrant == 1.0) | (quadrant == 3.0)
    sine, cosine = select(odd, c, s), select(odd, s, c)
    return (
        select(quadrant >= 2.0, -sine, sine),
        select((quadrant == 1.0) | (quadrant == 2.0), -cosine, cosine),
    )


@inner
def minimum(a, b):
    return select(a < b, a, b)


@inner
def maximum(a, b):
    return select(a > b, a, b)


@inner
def clamp(x, low, high):
    """`x` within [low, high], plain numbers."""
    return select(x < low, low, select(x > high, high, x))


@inner
def spline(q, splines, which):
    """(value, first, second derivative) of one of the model's splines at q."""
    count = fill(q, 0.0)
    for knot in range(splines.knot_start[which], splines.knot_start[which + 1]):
        count = count + select(q >= splines.knots[knot], fill(q, 1.0), 0.0)
    piece = truncated(count)
    start = 5 * splines.piece_start[which]
    t = q - gather(splines.pieces, start, 5, 0, piece)
    y = gather(splines.pieces, start, 5, 1, piece)
    b = gather(splines.pieces, start, 5, 2, piece)
    c = gather(splines.pieces, start, 5, 3, piece)
    d = gather(splines.pieces, start, 5, 4, piece)
    return fma(t, fma(t, fma(t, d, c), b), y), fma(t, fma(t, 3.0 * d, 2.0 * c), b), fma(t, 6.0 * d, 2.0 * c)


@inner
def dot(a, b):
    return fma(a[0], b[0], fma(a[1], b[1], a[2] * b[2]))


@inner
def cross(a, b):
    return (
        fma(a[1], b[2], -(a[2] * b[1])),
        fma(a[2], b[0], -(a[0] * b[2])),
        fma(a[0], b[1], -(a[1] * b[0])),
    )


@inner
def plus(a, b):
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@inner
def minus(a, b):
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@inner
def times(a, factor):
    return a[0] * factor, a[1] * factor, a[2] * factor


@inner
def turned(matrix, v):
    """Matrix times vector."""
    return (
        fma(matrix[0], v[0], fma(matrix[1], v[1], matrix[2] * v[2])),
        fma(matrix[3], v[0], fma(matrix[4], v[1], matrix[5] * v[2])),
        fma(matrix[6], v[0], fma(matrix[7], v[1], matrix[8] * v[2])),
    )


@inner
def load3(like, array, row):
    return load(like, array, row), load(like, array, row + 1), load(like, array, row + 2)


@inner
def load9(like, array, row):
    return (
        load(like, array, row),
        load(like, array, row + 1),
        load(like, array, row + 2),
        load(like, array, row + 3),
        load(like, array, row + 4),
        load(like, array, row + 5),
        load(like, array, row + 6),
        load(like, array, row + 7),
        load(like, array, row + 8),
    )


@inner
def store3(array, row, v):
    store(array, row, v[0])
    store(array, row + 1, v[1])
    store(array, row + 2, v[2])


@inner
def add3(like, array, row, v):
    """Adds to three rows."""
    store3(array, row, plus(load3(like, array, row), v))
