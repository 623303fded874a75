"""Gradients of activations: each takes the branch TF's own kernel takes, also at the kink."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from .rewrite import Lowering

SELU_SCALE = 1.0507009873554804934193349852946
SELU_SCALE_ALPHA = 1.7580993408473768599402175208123


def relu_grad(_: tf.Operation, gradient: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
    return gradient * tf.cast(features > 0, gradient.dtype)


def relu6_grad(_: tf.Operation, gradient: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
    inside = tf.logical_and(features > 0, features < 6)
    return gradient * tf.cast(inside, gradient.dtype)


def leaky_relu_grad(op: tf.Operation, gradient: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
    slope = op.get_attr("alpha")
    return tf.where(features > 0, gradient, slope * gradient)


def elu_grad(_: tf.Operation, gradient: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.where(outputs < 0, (outputs + 1) * gradient, gradient)


def selu_grad(_: tf.Operation, gradient: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """The converter knows SeluGrad too, but takes the other branch at exactly zero."""
    below = (outputs + SELU_SCALE_ALPHA) * gradient
    return tf.where(outputs < 0, below, SELU_SCALE * gradient)


def softsign_grad(_: tf.Operation, gradient: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
    return gradient / tf.square(1 + tf.abs(features))


LOWERINGS: Mapping[str, Lowering] = {
    "ReluGrad": relu_grad,
    "Relu6Grad": relu6_grad,
    "LeakyReluGrad": leaky_relu_grad,
    "EluGrad": elu_grad,
    "SeluGrad": selu_grad,
    "SoftsignGrad": softsign_grad,
}
