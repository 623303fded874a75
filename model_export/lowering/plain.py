"""Ops that need no arithmetic of their own: bookkeeping of TF, and sums of many tensors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np
import tensorflow as tf

from .rewrite import Lowering

MOST_SUMMED_SIDES = 4


def inputs_as_outputs(_: tf.Operation, *inputs: tf.Tensor) -> list[tf.Tensor]:
    return list(inputs)


def add_n(_: tf.Operation, *inputs: tf.Tensor) -> tf.Tensor:
    """One after another: TFLite's ADD_N splits its inputs among threads, which changes the sum."""
    return reduce(tf.add, inputs)


def sum_of_sides(op: tf.Operation, values: tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
    """One side after another beyond 4-D.

    XNNPACK accepts a SUM over three of six sides, the gradient of RepeatVector, and then fails.
    """
    constant = tf.get_static_value(sides)
    if constant is None or values.shape.rank <= MOST_SUMMED_SIDES:
        return tf.reduce_sum(values, sides, keepdims=op.get_attr("keep_dims"))
    for side in np.unique(np.reshape(constant, -1) % values.shape.rank)[::-1]:
        outer, inner = values.shape[:side], values.shape[side + 1 :]
        folded = (outer.num_elements(), values.shape[side], inner.num_elements())
        values = tf.reduce_sum(tf.reshape(values, folded), 1)
        values = tf.reshape(values, (*outer, *inner))
    return tf.reshape(values, op.outputs[0].shape)


LOWERINGS: Mapping[str, Lowering] = {
    "AddN": add_n,
    "IdentityN": inputs_as_outputs,
    "PreventGradient": inputs_as_outputs,
    "Sum": sum_of_sides,
}
