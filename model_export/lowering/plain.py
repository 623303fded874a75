"""Ops that need no arithmetic of their own: bookkeeping of TF, and sums of many tensors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import tensorflow as tf

from .rewrite import Lowering


def inputs_as_outputs(_: tf.Operation, *inputs: tf.Tensor) -> list[tf.Tensor]:
    return list(inputs)


def add_n(_: tf.Operation, *inputs: tf.Tensor) -> tf.Tensor:
    """One after another: TFLite's ADD_N splits its inputs among threads, which changes the sum."""
    return reduce(tf.add, inputs)


LOWERINGS: Mapping[str, Lowering] = {
    "AddN": add_n,
    "IdentityN": inputs_as_outputs,
    "PreventGradient": inputs_as_outputs,
}
