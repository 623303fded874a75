"""Gradients of depthwise convolutions, one cell of the window at a time.

The forward op is builtin. Each channel meets only its own filters, so there is no matrix product
to gather for: a cell costs one multiplication.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from .rewrite import Lowering
from .windows import CHANNELS, Windows, cells, lines, scatter, windows_of


def depthwise_filter_grad(
    op: tf.Operation, image: tf.Tensor, _: tf.Tensor, gradient: tf.Tensor
) -> tf.Tensor:
    kernel = op.outputs[0].shape
    windows = _windows(op, image.shape, gradient.shape, kernel)
    by_channel = tf.reshape(gradient, (-1, *kernel[2:]))
    sums = [
        tf.reduce_sum(tf.reshape(cell, (-1, kernel[2], 1)) * by_channel, 0)
        for cell in cells(image, windows, fill=0.0)
    ]
    return tf.reshape(tf.stack(sums), kernel)


def depthwise_input_grad(
    op: tf.Operation, _: tf.Tensor, kernel: tf.Tensor, gradient: tf.Tensor
) -> tf.Tensor:
    image = op.outputs[0].shape
    windows = _windows(op, image, gradient.shape, kernel.shape)
    filters = tf.unstack(tf.reshape(kernel, (-1, gradient.shape[CHANNELS])))
    by_cell = [_summed(gradient * weights, image[CHANNELS]) for weights in filters]
    return scatter(lines(by_cell, windows), windows)


def _summed(product: tf.Tensor, channels: int) -> tf.Tensor:
    """Adds up what the several filters of a channel give it."""
    if product.shape[CHANNELS] == channels:
        return product
    apart = tf.reshape(product, (-1, channels, product.shape[CHANNELS] // channels))
    return tf.reshape(tf.reduce_sum(apart, 2), (*product.shape[:CHANNELS], channels))


def _windows(
    op: tf.Operation, image: Sequence[int], output: Sequence[int], kernel: Sequence[int]
) -> Windows:
    return windows_of(op, image=tuple(image), output=tuple(output), kernel=tuple(kernel)[:2])


LOWERINGS: Mapping[str, Lowering] = {
    "DepthwiseConv2dNativeBackpropFilter": depthwise_filter_grad,
    "DepthwiseConv2dNativeBackpropInput": depthwise_input_grad,
}
