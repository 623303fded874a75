"""Padding: which examples of a batch are none, for the layers that would notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import keras
import tensorflow as tf

from ..reading.inspection import MIXING, leaves

Call = Callable[..., tf.Tensor]


@contextmanager
def padding_left_out(model: keras.Model, weight: tf.Tensor) -> Iterator[None]:
    """Meanwhile batch normalization sees the examples of weight 1 only, when it trains.

    Keras's layer takes a mask, but nothing in a model hands it one; hence each layer's ``call`` is
    shadowed and given back. A batch that is padding only leaves the moving statistics alone.
    """
    mixing = {id(layer): layer for layer in leaves(model) if isinstance(layer, MIXING)}
    try:
        for layer in mixing.values():
            vars(layer)["call"] = partial(_call_masked, layer, layer.call, weight)
        yield
    finally:
        for layer in mixing.values():
            vars(layer).pop("call", None)


def padding_filled(
    model: keras.Model, x: tuple[tf.Tensor, ...], weight: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """Puts a real example in the place of padding, in a model that masks; ones when there is none.

    The average over an example that is masked out as a whole is NaN, and NaN times 0 is NaN.
    """
    masks = any(
        isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False)
        for layer in model._flatten_layers()
    )
    return tuple(_filled(tensor, weight) for tensor in x) if masks else x


def _filled(tensor: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    real = tf.gather(tensor, tf.argmax(weight, output_type=tf.int32))
    filler = tf.where(tf.reduce_max(weight) > 0, real, tf.ones_like(real))
    is_real = tf.reshape(weight > 0, (-1, *[1] * (tensor.shape.rank - 1)))
    return tf.where(is_real, tensor, filler)


def _call_masked(
    layer: keras.layers.Layer,
    call: Call,
    weight: tf.Tensor,
    inputs: tf.Tensor,
    training: bool | None = None,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    if not (training and layer.trainable):
        return call(inputs, training=training, mask=mask)
    is_real = tf.reshape(weight > 0, (-1, *[1] * (inputs.shape.rank - 2)))
    if mask is not None:
        is_real = tf.logical_and(is_real, tf.cast(mask, tf.bool))
    before = [tf.convert_to_tensor(variable) for variable in layer.non_trainable_variables]
    outputs = call(inputs, training=training, mask=is_real)
    has_examples = tf.reduce_sum(weight) > 0
    for variable, value in zip(layer.non_trainable_variables, before, strict=True):
        variable.assign(tf.where(has_examples, tf.convert_to_tensor(variable), value))
    return outputs
