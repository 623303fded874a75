"""What Keras itself makes of golden inputs: its layers, loss and optimizer, run by TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ...protocol.weights import Vector
from ..lowering import VERBATIM, is_random, seeded
from ..reading.inspection import float_variables
from ..reading.ports import outputs_of
from ..training.randomness import SEED, seeds_left_alone
from ..training.signatures import Trainee
from .golden import Array, Arrays

# Rounding in a sum of a thousand terms moves it about as much as this moves its terms.
NUDGE, SMALLEST = 2.0**-20, 1e-3


class Batch(NamedTuple):
    """A padded batch as ``train`` and ``evaluate`` take it, tensors by name."""

    x: Arrays
    y: Arrays
    weight: Array

    @property
    def examples(self) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Inputs and labels in order, without the padding."""
        real = self.weight > 0
        return tuple(x[real] for x in self.x.values()), tuple(y[real] for y in self.y.values())


class Step(NamedTuple):
    """One training step: its batch, its learning rate, and a seed for whatever it draws."""

    batch: Batch
    learning_rate: float
    seed: int


class Reference:
    """Keras's own training of a model, which is left as it was after each call.

    A ``nudge`` moves every weight by a few units in its last place first, up or down: what that
    changes, the rounding of a runtime may change too.
    """

    def __init__(self, trainee: Trainee) -> None:
        self._trainee = trainee
        self._optimizer = trainee.optimizer.reference()
        self._optimizer.build(trainee.model.trainable_variables)
        self._unused = [variable.numpy() for variable in self._optimizer.variables]
        self._received = [tf.Variable(v.value) for v in trainee.model.trainable_variables]
        self._step, self.is_random = _traced(self._one_step, trainee.batch(None)[:2])

    def trained(
        self, steps: Sequence[Step], *, nudge: np.random.Generator | None = None
    ) -> tuple[Array, list[Vector]]:
        """The loss before each step, and the weights after it."""
        losses, weights = [], []
        with self._lent(nudge) as model:
            self._forget(model)
            for batch, rate, seed in steps:
                self._optimizer.learning_rate = float(rate)
                tensors = tf.nest.flatten(batch.examples) + [seed] * self.is_random
                losses.append(self._step(*tensors).numpy())
                weights.append(self._trainee.layout.vector)
        return np.array(losses, np.float32), weights

    def evaluated(
        self, batch: Batch, weights: Vector, *, nudge: np.random.Generator | None = None
    ) -> tuple[Arrays, Arrays]:
        """What ``evaluate`` sums, of the real examples alone, and the outputs of ``infer``."""
        with self._lent(nudge, weights) as model:
            x, y = batch.examples
            outputs, count = self._trainee.outputs(x, training=False), len(x[0])
            sums = self._trainee.objective.sums(y, outputs, tf.ones(count))
            sums["loss_sum"] = self._trainee.objective.keras_loss(y, outputs) * count
            found = self._trainee.outputs(tuple(batch.x.values()), training=False)
            names = [f"outputs{port.suffix}" for port in outputs_of(model)]
        return (
            {name: value.numpy() for name, value in sums.items()},
            {name: value.numpy() for name, value in zip(names, found, strict=True)},
        )

    def _one_step(self, x: tuple[tf.Tensor, ...], y: tuple[tf.Tensor, ...]) -> tf.Tensor:
        model = self._trainee.model
        with tf.GradientTape() as tape:
            mean = self._trainee.objective.keras_loss(y, self._trainee.outputs(x, training=True))
            loss = tf.add_n([mean, *model.losses, *self._proximal_term()])
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        self._optimizer.apply(gradients, model.trainable_variables)
        return loss

    def _proximal_term(self) -> list[tf.Tensor]:
        if not self._trainee.proximal:
            return []
        pairs = zip(self._trainee.model.trainable_variables, self._received, strict=True)
        distance = sum(tf.reduce_sum((variable.value - start) ** 2) for variable, start in pairs)
        return [0.5 * self._trainee.proximal * distance]

    def _forget(self, model: keras.Model) -> None:
        """Begins again: no slots, and the weights of now are those received."""
        for variable, value in zip(self._optimizer.variables, self._unused, strict=True):
            variable.assign(value)
        for start, variable in zip(self._received, model.trainable_variables, strict=True):
            start.assign(variable.value)

    @contextmanager
    def _lent(
        self, nudge: np.random.Generator | None, weights: Vector | None = None
    ) -> Iterator[keras.Model]:
        """The model with other weights; those it had come back."""
        model = self._trainee.model
        kept = [variable.numpy() for variable in model.variables]
        try:
            if weights is not None:
                self._trainee.layout.assign(weights)
            if nudge is not None:
                _nudge(model, nudge)
            yield model
        finally:
            for variable, array in zip(model.variables, kept, strict=True):
                variable.assign(array)


def _nudge(model: keras.Model, rng: np.random.Generator) -> None:
    for variable in float_variables(model):
        value = variable.numpy()
        size = NUDGE * np.maximum(np.abs(value), SMALLEST)
        variable.assign(value + rng.choice([-1.0, 1.0], value.shape) * size)


def _traced(step: Callable[..., tf.Tensor], inputs: list[Any]) -> tuple[Any, bool]:
    """Keras's step with its inputs in a row; whether it draws random numbers.

    If so, a seed is its last input, and the numbers are those of the phone.
    """
    flat = tf.nest.flatten(inputs)

    def in_a_row(*tensors: tf.Tensor) -> tf.Tensor:
        return step(*tf.nest.pack_sequence_as(inputs, tensors))

    function = tf.function(in_a_row, input_signature=flat, autograph=False)
    with seeds_left_alone():
        traced = function.get_concrete_function()
    if not is_random(traced.graph):
        return function, False
    numbered = seeded(traced, VERBATIM)
    return tf.function(numbered, input_signature=[*flat, SEED], autograph=False), True
