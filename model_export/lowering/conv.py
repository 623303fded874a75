"""Convolutions and their gradients as one matrix product over gathered windows.

The runtimes have a fast kernel for BATCH_MATMUL with variable operands, but only a slow one for
CONV_2D and TRANSPOSE_CONV with a variable filter. Forward and filter gradient gather the same
windows; the converter keeps one copy. A grouped convolution is a batch of such products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from .rewrite import Lowering
from .windows import CHANNELS, Windows, gather, scatter, windows_of


def conv2d(op: tf.Operation, image: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    if kernel.op.type == "Const":
        return tf.raw_ops.Conv2D(
            input=image,
            filter=kernel,
            **{
                name: op.get_attr(name)
                for name in ("strides", "padding", "explicit_paddings", "dilations")
            },
        )
    output = op.outputs[0].shape
    windows, groups = _windows(op, image.shape, output, kernel.shape)
    product = tf.matmul(_cells(image, windows, groups), _split(kernel, groups))
    return tf.reshape(_joined(product), output)


def conv2d_filter_grad(
    op: tf.Operation, image: tf.Tensor, _: tf.Tensor, gradient: tf.Tensor
) -> tf.Tensor:
    kernel = op.outputs[0].shape
    windows, groups = _windows(op, image.shape, gradient.shape, kernel)
    cells = tf.transpose(_cells(image, windows, groups), (0, 2, 1))
    return tf.reshape(_joined(tf.matmul(cells, _split(gradient, groups))), kernel)


def conv2d_input_grad(
    op: tf.Operation, _: tf.Tensor, kernel: tf.Tensor, gradient: tf.Tensor
) -> tf.Tensor:
    windows, groups = _windows(op, op.outputs[0].shape, gradient.shape, kernel.shape)
    turned = tf.transpose(_split(kernel, groups), (0, 2, 1))
    cells = _windowed(tf.matmul(_split(gradient, groups), turned), kernel.shape)
    cells = tf.reshape(cells, (*gradient.shape[:3], -1))
    rows = windows.rows.kernel
    # A split into one part is a copy, which pointwise convolutions feel.
    return scatter(tf.split(cells, rows, axis=CHANNELS) if rows > 1 else [cells], windows)


def _windows(
    op: tf.Operation, image: Sequence[int], output: Sequence[int], kernel: Sequence[int]
) -> tuple[Windows, int]:
    """The windows, and into how many groups the channels are split."""
    windows = windows_of(op, image=tuple(image), output=tuple(output), kernel=tuple(kernel)[:2])
    return windows, image[CHANNELS] // kernel[2]


def _cells(image: tf.Tensor, windows: Windows, groups: int) -> tf.Tensor:
    """The cells of every window: [groups, windows, kernel rows * kernel columns * channels]."""
    cells = gather(image, windows)
    if groups == 1:
        return _matrix(cells)
    per_group = image.shape[CHANNELS] // groups
    apart = tf.reshape(cells, (cells.shape[:3].num_elements(), -1, groups, per_group))
    apart = tf.transpose(apart, (2, 0, 1, 3))
    return tf.reshape(apart, (*apart.shape[:2], -1))


def _windowed(cells: tf.Tensor, kernel: Sequence[int]) -> tf.Tensor:
    """Undoes the grouping of ``_cells``: [windows, kernel rows * kernel columns, channels]."""
    if cells.shape[0] == 1:
        return cells
    apart = tf.reshape(cells, (*cells.shape[:2], -1, kernel[2]))
    return tf.transpose(apart, (1, 2, 0, 3))


def _split(tensor: tf.Tensor, groups: int) -> tf.Tensor:
    """Folds all sides but the last, which is split: [groups, rows, columns]."""
    if groups == 1:
        return _matrix(tensor)
    columns = tensor.shape[-1] // groups
    return tf.transpose(tf.reshape(tensor, (-1, groups, columns)), (1, 0, 2))


def _joined(product: tf.Tensor) -> tf.Tensor:
    """Undoes ``_split``, up to a reshape."""
    return product if product.shape[0] == 1 else tf.transpose(product, (1, 0, 2))


def _matrix(tensor: tf.Tensor) -> tf.Tensor:
    """Folds all sides but the last; the leading 1 keeps the product a BATCH_MATMUL."""
    return tf.reshape(tensor, (1, -1, tensor.shape[-1]))


LOWERINGS: Mapping[str, Lowering] = {
    "Conv2D": conv2d,
    "Conv2DBackpropFilter": conv2d_filter_grad,
    "Conv2DBackpropInput": conv2d_input_grad,
}
