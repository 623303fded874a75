"""Gradients of pooling."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .refusal import Refusal
from .rewrite import Lowering
from .windows import Axis, Windows, cells, lines, scatter, windows_of

LOWEST = float(np.finfo(np.float32).min)


def max_pool_grad(
    op: tf.Operation, image: tf.Tensor, pooled: tf.Tensor, gradient: tf.Tensor
) -> tf.Tensor:
    """Gives the gradient of a window to its first maximum in row-major order, as TF's kernel does.

    After a ReLU several zeros often tie, so any other choice trains another model.
    """
    windows = _windows(op, image.shape, gradient.shape)
    shares, unclaimed = [], None
    for cell in cells(image, windows, fill=LOWEST):
        is_maximum = tf.cast(tf.equal(cell, pooled), gradient.dtype)
        share = is_maximum if unclaimed is None else is_maximum * unclaimed
        unclaimed = 1 - share if unclaimed is None else unclaimed - share
        shares.append(gradient * share)
    return scatter(lines(shares, windows), windows)


def avg_pool_grad(op: tf.Operation, _: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """Spreads the gradient evenly over the cells of the window that lie inside the image."""
    windows = _windows(op, op.outputs[0].shape, gradient.shape)
    inside = np.outer(_cells_inside(windows.rows), _cells_inside(windows.columns))
    share = gradient * tf.constant(1 / inside[None, :, :, None], gradient.dtype)
    cells_per_window = windows.rows.kernel * windows.columns.kernel
    return scatter(lines([share] * cells_per_window, windows), windows)


def _windows(op: tf.Operation, image: tf.TensorShape, output: tf.TensorShape) -> Windows:
    ksize = list(op.node_def.attr["ksize"].list.i)
    if ksize[0] != 1 or ksize[3] != 1:
        raise Refusal("it pools over examples or channels", advice="pool over images only")
    return windows_of(op, image=image.as_list(), output=output.as_list(), kernel=ksize[1:3])


def _cells_inside(axis: Axis) -> npt.NDArray[np.float64]:
    starts = np.arange(axis.count, dtype=np.float64) * axis.stride - axis.before
    return np.minimum(starts + axis.kernel, axis.size) - np.maximum(starts, 0)


LOWERINGS: Mapping[str, Lowering] = {"MaxPoolGrad": max_pool_grad, "AvgPoolGrad": avg_pool_grad}
