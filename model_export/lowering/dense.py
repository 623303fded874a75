"""Matrix products, in the form whose kernel is fast when neither operand is a constant.

A product with a transposed second operand, the input gradient of a dense layer, would become a
FULLY_CONNECTED, which is fast only with constant weights. A leading side of 1 keeps it a
BATCH_MATMUL. That kernel rearranges its second operand at every call, hence the smaller one
comes second. Any other product is a BATCH_MATMUL already.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from .rewrite import Lowering, as_it_is


def matmul(op: tf.Operation, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """A single row stays as it is: two vectors are multiplied, and a row meets no slow kernel."""
    is_first_turned, is_second_turned = op.get_attr("transpose_a"), op.get_attr("transpose_b")
    if is_first_turned and a.shape[0] == 1 and not is_second_turned:
        return tf.transpose(a) * b
    if is_first_turned or not is_second_turned or a.shape[0] in (1, None) or _is_constant(b):
        return as_it_is(op, a, b)
    return _with_second_turned(a, b)


def _with_second_turned(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """a [rows, inner] times b [columns, inner], turned."""
    (rows, inner), columns = a.shape, b.shape[0]
    # Swapping moves the first operand and the product instead of the second operand.
    if columns * inner > rows * (inner + columns):
        product = tf.matmul(b[None], tf.transpose(a)[None])
        return tf.transpose(tf.reshape(product, (columns, rows)))
    return tf.reshape(tf.matmul(a[None], b[None], transpose_b=True), (rows, columns))


def _is_constant(tensor: tf.Tensor) -> bool:
    return tf.get_static_value(tensor) is not None


LOWERINGS: Mapping[str, Lowering] = {"MatMul": matmul}
