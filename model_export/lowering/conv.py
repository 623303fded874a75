"""Convolutions and their gradients as one matrix product over gathered windows.

The runtimes have a fast kernel for BATCH_MATMUL with variable operands, but only a slow one for
CONV_2D and TRANSPOSE_CONV with a variable filter. Forward and filter gradient gather the same
windows; the converter keeps one copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from .refusal import Refusal
from .rewrite import Lowering
from .windows import CHANNELS, Windows, gather, scatter, windows_of


def conv2d(op: tf.Operation, image: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    output = op.outputs[0].shape
    windows = _windows(op, image.shape, output, kernel.shape)
    product = tf.matmul(_matrix(gather(image, windows)), _matrix(kernel))
    return tf.reshape(product, output)


def conv2d_filter_grad(
    op: tf.Operation, image: tf.Tensor, _: tf.Tensor, gradient: tf.Tensor
) -> tf.Tensor:
    kernel = op.outputs[0].shape
    windows = _windows(op, image.shape, gradient.shape, kernel)
    cells = tf.transpose(_matrix(gather(image, windows)), (0, 2, 1))
    return tf.reshape(tf.matmul(cells, _matrix(gradient)), kernel)


def conv2d_input_grad(
    op: tf.Operation, _: tf.Tensor, kernel: tf.Tensor, gradient: tf.Tensor
) -> tf.Tensor:
    windows = _windows(op, op.outputs[0].shape, gradient.shape, kernel.shape)
    turned = tf.transpose(_matrix(kernel), (0, 2, 1))
    cells = tf.reshape(tf.matmul(_matrix(gradient), turned), (*gradient.shape[:3], -1))
    return scatter(tf.split(cells, windows.rows.kernel, axis=CHANNELS), windows)


def _windows(
    op: tf.Operation, image: Sequence[int], output: Sequence[int], kernel: Sequence[int]
) -> Windows:
    windows = windows_of(op, image=tuple(image), output=tuple(output), kernel=tuple(kernel)[:2])
    if image[CHANNELS] != kernel[2]:
        raise Refusal("it has groups", advice="use groups=1")
    return windows


def _matrix(tensor: tf.Tensor) -> tf.Tensor:
    """Folds all sides but the last; the leading 1 keeps the product a BATCH_MATMUL."""
    return tf.reshape(tensor, (1, -1, tensor.shape[-1]))


LOWERINGS: Mapping[str, Lowering] = {
    "Conv2D": conv2d,
    "Conv2DBackpropFilter": conv2d_filter_grad,
    "Conv2DBackpropInput": conv2d_input_grad,
}
