"""Update rules: what one step does to one variable, by Keras's formulae and in Keras's order.

A batch that is padding only must leave everything as it is. Its gradients are zero already, so
scalars suffice: the rate becomes 0, and nothing decays.

The gradient of an embedding comes in slices, several for a row that was looked up several times.
Keras squares and bounds the slices, not their sum, and so does a phone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from ...protocol.artifact import Tolerances

SGD_LIKE = Tolerances(atol=1e-6, rtol=1e-5)
ADAM_LIKE = Tolerances(atol=5e-5, rtol=1e-5)


Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices


@dataclass(frozen=True)
class Turn:
    """One variable's turn in a step.

    ``is_real`` is 1, or 0 for a batch that is padding only; ``rate`` is then 0 too. ``count`` is
    the number of this step, from 1 on.
    """

    variable: tf.Variable
    gradient: Gradient
    slots: Sequence[tf.Variable]
    rate: tf.Tensor
    count: tf.Tensor
    is_real: tf.Tensor


@dataclass(frozen=True)
class Rule:
    """``step(options, turn)`` assigns variable and slots; ``options`` is the Keras optimizer.

    ``tolerances`` bound how far ten steps on a phone may lie from ten steps of Keras, at the
    ``golden_rates``.
    """

    step: Callable[[Any, Turn], None]
    slots: tuple[str, ...] = ()
    is_counting: bool = False
    tolerances: Tolerances = SGD_LIKE
    golden_rates: tuple[float, ...] = (0.05, 0.02)


def clipped(options: keras.optimizers.Optimizer, gradients: list[Gradient]) -> list[Gradient]:
    """Shortens or cuts the gradients of one step as the optimizer was told to."""
    if options.clipnorm:
        return [_clipped_by_norm(gradient, options.clipnorm) for gradient in gradients]
    if options.global_clipnorm:
        scale = _global_scale(gradients, options.global_clipnorm)
        return [tf.convert_to_tensor(gradient) * scale for gradient in gradients]
    if options.clipvalue:
        limit = options.clipvalue
        return [_each(lambda part: _bounded(part, limit), gradient) for gradient in gradients]
    return gradients


def decay(options: keras.optimizers.Optimizer, variable: tf.Variable, rate: tf.Tensor) -> None:
    """Decoupled weight decay, which comes before the step itself."""
    if options.weight_decay is not None:
        value = tf.convert_to_tensor(variable)
        variable.assign(value - value * options.weight_decay * rate)


def _global_scale(gradients: list[Gradient], limit: float) -> tf.Tensor:
    norm = tf.sqrt(tf.add_n([_squared_norm(gradient) for gradient in gradients]))
    # LiteRT makes 1 / sqrt(0) NaN, and padding has no gradient.
    length = tf.where(norm > 0, norm, limit)
    return limit * tf.minimum(1.0 / length, 1.0 / limit) + (norm - norm)


def _clipped_by_norm(gradient: Gradient, limit: float) -> tf.Tensor:
    norm = tf.sqrt(_squared_norm(gradient))
    return tf.convert_to_tensor(gradient) * limit / tf.maximum(norm, limit)


def _squared_norm(gradient: Gradient) -> tf.Tensor:
    parts = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
    return tf.reduce_sum(tf.square(parts))


def _bounded(values: tf.Tensor, limit: float) -> tf.Tensor:
    return tf.minimum(tf.maximum(values, -limit), limit)


def _each(function: Callable[[tf.Tensor], tf.Tensor], gradient: Gradient) -> Gradient:
    if not isinstance(gradient, tf.IndexedSlices):
        return function(gradient)
    return tf.IndexedSlices(function(gradient.values), gradient.indices, gradient.dense_shape)


def _descend(_: Any, turn: Turn) -> None:
    turn.variable.assign_sub(turn.rate * tf.convert_to_tensor(turn.gradient))


def _roll(options: Any, turn: Turn) -> None:
    (velocity,) = turn.slots
    push = turn.rate * tf.convert_to_tensor(turn.gradient)
    kept = tf.where(turn.is_real > 0, options.momentum, 1.0)
    moved = tf.convert_to_tensor(velocity) * kept - push
    velocity.assign(moved)
    if options.nesterov:
        turn.variable.assign_add(moved * (options.momentum * turn.is_real) - push)
    else:
        turn.variable.assign_add(moved * turn.is_real)


def _adapt(options: Any, turn: Turn) -> None:
    momentum, velocity = turn.slots
    bias_1 = 1 - tf.pow(tf.constant(options.beta_1, tf.float32), turn.count)
    bias_2 = 1 - tf.pow(tf.constant(options.beta_2, tf.float32), turn.count)
    alpha = turn.rate * tf.sqrt(bias_2) / bias_1
    mean = _blended(momentum, turn.gradient, (1 - options.beta_1) * turn.is_real)
    square = _each(tf.square, turn.gradient)
    spread = _blended(velocity, square, (1 - options.beta_2) * turn.is_real)
    turn.variable.assign_sub(mean * alpha / (tf.sqrt(spread) + options.epsilon))


def _blended(slot: tf.Variable, target: Gradient, share: tf.Tensor) -> tf.Tensor:
    """Moves a slot towards ``target`` by ``share`` of the way, and returns it."""
    value = tf.convert_to_tensor(slot)
    moved = value + (tf.convert_to_tensor(target) - value) * share
    slot.assign(moved)
    return moved


DESCENT = Rule(_descend)
MOMENTUM = Rule(_roll, slots=("momentum",))
ADAM = Rule(
    _adapt,
    slots=("momentum", "velocity"),
    is_counting=True,
    tolerances=ADAM_LIKE,
    golden_rates=(0.002, 0.001),
)
