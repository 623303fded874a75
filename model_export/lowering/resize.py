"""Gradients of image resizing: every output is a weighted sum of inputs, one side at a time.

The weights are read off TF's own kernel, which resizes the identity matrix; so rounding, centres
and edges are those of the forward op.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .rewrite import Lowering

Resize = Callable[..., Any]
Weights = npt.NDArray[np.float32]


def resize_grad(resize: Resize, op: tf.Operation, gradient: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    batch, rows, columns, channels = op.outputs[0].shape
    tall = tf.reshape(gradient, (batch, gradient.shape[1], -1))
    tall = tf.matmul(_weights(resize, op, rows, gradient.shape[1]), tall)
    wide = tf.reshape(tall, (batch * rows, gradient.shape[2], channels))
    wide = tf.matmul(_weights(resize, op, columns, gradient.shape[2]), wide)
    return tf.reshape(wide, op.outputs[0].shape)


def _weights(resize: Resize, op: tf.Operation, source: int, target: int) -> Weights:
    """What each of ``source`` cells gives each of ``target``: [1, source, target]."""
    with tf.init_scope():
        resized = resize(
            images=np.eye(source, dtype=np.float32).reshape((1, source, 1, source)),
            size=(target, 1),
            align_corners=op.get_attr("align_corners"),
            half_pixel_centers=op.get_attr("half_pixel_centers"),
        )
    return np.transpose(resized.numpy()[:, :, 0, :], (0, 2, 1))


LOWERINGS: Mapping[str, Lowering] = {
    "ResizeBilinearGrad": partial(resize_grad, tf.raw_ops.ResizeBilinear),
    "ResizeNearestNeighborGrad": partial(resize_grad, tf.raw_ops.ResizeNearestNeighbor),
}
