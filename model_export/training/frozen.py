"""Frozen weights in the graph: constants where they can be, so that phones run them fast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import keras
import tensorflow as tf

from ...protocol.artifact import Storage
from ..lowering import Lowering
from ..reading.layout import Layout
from .flow import handle_of


def held(layout: Layout, *, storage: Storage) -> tuple[keras.Variable, ...]:
    """The frozen vectors that must stay variables, or a kernel would be stored twice.

    The converter folds the scale of a batch normalization into the kernel before it, whereas the
    backward pass needs that kernel as it is; and what was folded is no float16 any more. Only
    vectors are folded, and only what nothing assigns is a constant to the converter: hence
    ``set_weights`` assigns these the values they have.
    """
    among = layout.needed if storage == "float32" else layout.frozen
    return tuple(variable for variable in among if len(variable.shape) < 2)


def constants(
    frozen: Iterable[keras.Variable], *, besides: Iterable[keras.Variable]
) -> Mapping[str, Lowering]:
    """Lowerings that put a constant in place of each read of the ``frozen`` variables."""
    left = {handle_of(variable) for variable in besides}
    values = {handle_of(v): v.numpy() for v in frozen if handle_of(v) not in left}

    def read(op: tf.Operation, handle: tf.Tensor) -> tf.Tensor:
        value = values.get(id(handle))
        if value is None:
            return tf.raw_ops.ReadVariableOp(resource=handle, dtype=op.get_attr("dtype"))
        # A constant must not wait for what the read had to wait for.
        with tf.control_dependencies(None):
            return tf.constant(value)

    return {"ReadVariableOp": read}
