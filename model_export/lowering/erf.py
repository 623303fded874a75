"""The error function, for exact GELU: polynomials and EXP, since no phone has ERF.

Within 1 the quotient erf(x) / x is a polynomial in x². Beyond, erfc(x) exp(x²) / t is one in
u = 2t - 1, where t = 2 / (2 + x). Both were fitted in float64 at Chebyshev nodes for the least
relative error, 1.2e-9 and 9.1e-8; in float32 erf stays within 1.5e-7 of the
true value, erfc within 2.5e-7 (``tests/model_export/test_lowering_on_phone.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import tensorflow as tf

from .rewrite import Lowering

NEAR = (
    1.128379166,
    -0.3761262557,
    0.1128358225,
    -0.0268536911,
    0.00518809889,
    -0.0008008189325,
    7.847259136e-05,
)
FAR = (
    0.5107913575,
    0.3435804906,
    0.1397357098,
    0.01821743261,
    -0.0107506079,
    -0.003215431536,
    0.00151759047,
    0.0003614938263,
    -0.0002591135588,
    2.105921633e-05,
)


def erf(_: tf.Operation, x: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.abs(x) < 1, _near(x), 1 - _far(x))


def erfc(_: tf.Operation, x: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.abs(x) < 1, 1 - _near(x), _far(x))


def _near(x: tf.Tensor) -> tf.Tensor:
    """erf(x), |x| < 1."""
    return x * _polynomial(NEAR, x * x)


def _far(x: tf.Tensor) -> tf.Tensor:
    """erfc(x) on either side; keeps its leading digits where it is tiny."""
    size = tf.abs(x)
    t = 2 / (2 + size)
    tail = tf.exp(-size * size) * t * _polynomial(FAR, 2 * t - 1)
    return tf.where(x < 0, 2 - tail, tail)


def _polynomial(coefficients: Sequence[float], x: tf.Tensor) -> tf.Tensor:
    """Horner's rule; the constant comes first."""
    highest, *lower = reversed(coefficients)
    return reduce(lambda sum_, c: sum_ * x + c, lower, tf.fill(x.shape, highest))


LOWERINGS: Mapping[str, Lowering] = {"Erf": erf, "Erfc": erfc}
