"""Gradients of depthwise convolutions, which are depthwise convolutions again.

The kernel of DEPTHWISE_CONV_2D is fast with variable filters, too. Only it has no room for very
many channels, so not every batch fits into one call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import tensorflow as tf

from .rewrite import Lowering
from .windows import CHANNELS, COLUMNS, ROWS, Windows, windows_of

# TFLite's kernel sums into a buffer of 4832 numbers, and never returns if a pixel needs more.
MOST_CHANNELS = 4096


def depthwise_filter_grad(
    op: tf.Operation, image: tf.Tensor, _: tf.Tensor, gradient: tf.Tensor
) -> tf.Tensor:
    """Slides the gradient over the image, every example's channels on their own."""
    kernel = op.outputs[0].shape
    windows = _windows(op, image.shape, gradient.shape, kernel)
    parts = _parts(*gradient.shape[::CHANNELS])
    pairs = zip(tf.split(_covered(image, windows), parts), tf.split(gradient, parts), strict=True)
    by_part = [_slid(seen, filters, windows, kernel) for seen, filters in pairs]
    return reduce(tf.add, by_part)


def depthwise_input_grad(
    op: tf.Operation, _: tf.Tensor, kernel: tf.Tensor, gradient: tf.Tensor
) -> tf.Tensor:
    """Slides the kernel, turned around, over the gradient with its strides filled with zeros."""
    image = op.outputs[0].shape
    windows = _windows(op, image, gradient.shape, kernel.shape)
    filters = tf.reshape(kernel, (*kernel.shape[:2], gradient.shape[CHANNELS], 1))
    # One side at a time: on two, REVERSE_V2 of some runtimes gives wrong numbers.
    turned = tf.reverse(tf.reverse(filters, [0]), [1])
    reached = tf.nn.depthwise_conv2d(
        _reaching(_spread(gradient, windows), windows),
        turned,
        strides=(1, 1, 1, 1),
        padding="VALID",
        dilations=(windows.rows.dilation, windows.columns.dilation),
    )
    return _summed(reached, image[CHANNELS])


def _parts(examples: int, channels: int) -> int:
    """Into how many equal parts a batch is split, so that the kernel has room for each."""
    fitting = (n for n in range(1, examples) if examples % n == 0)
    return next((n for n in fitting if examples // n * channels <= MOST_CHANNELS), examples)


def _slid(
    image: tf.Tensor, gradient: tf.Tensor, windows: Windows, kernel: Sequence[int]
) -> tf.Tensor:
    """Takes the examples for channels; where windows were strided, cells are now dilated."""
    seen, filters = (tf.transpose(tensor, (1, 2, 0, 3)) for tensor in (image, gradient))
    seen = tf.reshape(seen, (1, *seen.shape[:2], -1))
    by_example = tf.nn.depthwise_conv2d(
        seen,
        tf.reshape(filters, (*filters.shape[:2], seen.shape[CHANNELS], kernel[3])),
        strides=(1, windows.rows.dilation, windows.columns.dilation, 1),
        padding="VALID",
        dilations=(windows.rows.stride, windows.columns.stride),
    )
    by_example = tf.reshape(by_example, (kernel[0] * kernel[1], image.shape[0], -1))
    return tf.reshape(tf.reduce_sum(by_example, 1), kernel)


def _covered(image: tf.Tensor, windows: Windows) -> tf.Tensor:
    """The image with its padding, as far as any window reaches."""
    sizes, amounts = image.shape.as_list(), [(0, 0)] * 4
    for side, axis in ((ROWS, windows.rows), (COLUMNS, windows.columns)):
        needed = (axis.count - 1) * axis.stride + axis.reach - axis.before
        sizes[side] = min(axis.size, needed)
        amounts[side] = axis.before, needed - sizes[side]
    return tf.pad(tf.slice(image, (0, 0, 0, 0), sizes), amounts)


def _spread(gradient: tf.Tensor, windows: Windows) -> tf.Tensor:
    """Follows every cell by zeros, one stride from cell to cell."""
    batch, rows, columns, channels = gradient.shape
    down, across = windows.rows.stride, windows.columns.stride
    wide = tf.reshape(gradient, (batch * rows, columns, 1, channels))
    wide = tf.pad(wide, [(0, 0), (0, 0), (0, across - 1), (0, 0)])
    tall = tf.reshape(wide, (batch, rows, 1, -1))
    tall = tf.pad(tall, [(0, 0), (0, 0), (0, down - 1), (0, 0)])
    return tf.reshape(tall, (batch, rows * down, columns * across, channels))


def _reaching(spread: tf.Tensor, windows: Windows) -> tf.Tensor:
    """The gradient around which there are zeros, so that every cell of the image is reached."""
    sizes, amounts = spread.shape.as_list(), [(0, 0)] * 4
    for side, axis in ((ROWS, windows.rows), (COLUMNS, windows.columns)):
        before = axis.reach - 1 - axis.before
        needed = axis.size + axis.before
        sizes[side] = min(sizes[side], needed)
        amounts[side] = before, needed - sizes[side]
    return tf.pad(tf.slice(spread, (0, 0, 0, 0), sizes), amounts)


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
