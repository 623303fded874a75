"""What Keras makes of the golden inputs: its layers, loss and optimizer, run by TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ..protocol.weights import Vector
from .golden import STEPS, Array, Golden
from .inspection import float_variables
from .lowering import VERBATIM, is_random, seeded
from .randomness import SEED, seeds_left_alone
from .signatures import Trainee

DRAWS, PROBES = 20, 2
# Rounding in a sum of a thousand terms moves it about as much as this moves its terms.
NUDGE, SMALLEST = 2.0**-20, 1e-3


class Batch(NamedTuple):
    """A padded batch as ``train`` and ``evaluate`` take it."""

    x: Array
    y: Array
    weight: Array

    @property
    def examples(self) -> tuple[Array, Array]:
        """Inputs and labels without the padding."""
        real = self.weight > 0
        return self.x[real], self.y[real]


class Trained(NamedTuple):
    """Losses before and weights after each step; whether the steps draw random numbers."""

    losses: Array
    weights: list[Vector]
    is_random: bool


def weights_of(model: keras.Model) -> Vector:
    """The model's weights now, as the flat vector of its spec."""
    flat = [np.reshape(variable.numpy(), -1) for variable in float_variables(model)]
    return np.concatenate(flat).astype(np.float32, copy=False)


def golden_of(trainee: Trainee, *, seed: int) -> Golden:
    """Draws inputs from ``seed`` and lets Keras train on them; the model is left as it was.

    Inputs on which Keras does not agree with itself (``is_steady``) are drawn again, up to
    ``DRAWS`` times; the last draw is taken as it is, and the gate has the last word.
    """
    golden = _drawn(trainee, np.random.default_rng((seed, 0)))
    for draw in range(1, DRAWS):
        if is_steady(trainee, golden):
            break
        golden = _drawn(trainee, np.random.default_rng((seed, draw)))
    return golden


def is_steady(trainee: Trainee, golden: Golden) -> bool:
    """Whether the steps end in the same weights when all weights begin a few last bits off.

    Where two cells of a pooling window nearly tie, or a unit is nearly zero before its ReLU, the
    rounding of a runtime decides where the gradient goes. Such inputs tell nothing about it.
    """
    batches = [Batch(*batch) for batch in zip(golden.x, golden.y, golden.weight, strict=True)]
    tolerances = trainee.optimizer.rule.tolerances
    limit = (tolerances.atol + tolerances.rtol * np.abs(golden.weights_after_10)) / 2
    for probe in range(PROBES):
        with _restored(trainee.model):
            _nudge(trainee.model, np.random.default_rng(probe))
            after = _train(trainee, batches, golden.learning_rate, golden.seed).weights
        if (np.abs(after[-1] - golden.weights_after_10) > limit).any():
            return False
    return True


def _nudge(model: keras.Model, rng: np.random.Generator) -> None:
    """Moves every weight by a few units in its last place, up or down."""
    for variable in float_variables(model):
        value = variable.numpy()
        size = NUDGE * np.maximum(np.abs(value), SMALLEST)
        variable.assign(value + rng.choice([-1.0, 1.0], value.shape) * size)


def _drawn(trainee: Trainee, rng: np.random.Generator) -> Golden:
    size = trainee.batch_size
    batches = [_batch(trainee, size, _examples(step, size), rng) for step in range(STEPS)]
    rates = np.resize(np.array(trainee.optimizer.rule.golden_rates, np.float32), STEPS)
    size = trainee.evaluate_batch_size
    batch = _batch(trainee, size, max(1, size - 1), rng)
    seeds = rng.integers(-(2**31), 2**31, STEPS).astype(np.int32)
    with _restored(trainee.model):
        trained = _train(trainee, batches, rates, seeds)
        loss_sum, correct_sum = _evaluate(trainee, batch)
        outputs = trainee.outputs(batch.x, training=False).numpy()
    return Golden(
        x=np.stack([batch.x for batch in batches]),
        y=np.stack([batch.y for batch in batches]),
        weight=np.stack([batch.weight for batch in batches]),
        learning_rate=rates,
        seed=seeds if trained.is_random else seeds[:0],
        loss=trained.losses,
        weights_after_1=trained.weights[0],
        weights_after_10=trained.weights[-1],
        evaluate_x=batch.x,
        evaluate_y=batch.y,
        evaluate_weight=batch.weight,
        evaluate_loss_sum=loss_sum,
        evaluate_correct_sum=correct_sum,
        evaluate_weight_sum=batch.weight.sum(),
        outputs=outputs,
    )


def _examples(step: int, size: int) -> int:
    """Real examples of a golden batch: every third is padded, the last one to a single example."""
    if step == STEPS - 1:
        return 1
    return max(1, size - step) if step % 3 == 2 else size


def _batch(trainee: Trainee, size: int, real: int, rng: np.random.Generator) -> Batch:
    x, y, weight = trainee.batch(size)
    inputs = _inputs(trainee.model, x, rng)
    classes = trainee.model.outputs[0].shape[-1]
    labels = _labels(trainee.loss.name, y, classes, rng)
    return Batch(inputs, labels, (np.arange(size) < real).astype(weight.dtype.as_numpy_dtype))


def _inputs(model: keras.Model, spec: tf.TensorSpec, rng: np.random.Generator) -> Array:
    if spec.dtype.is_floating:
        return rng.random(tuple(spec.shape), dtype=np.float32)
    sizes = [layer.input_dim for layer in model.layers if hasattr(layer, "input_dim")]
    tokens: Array = rng.integers(0, min(sizes, default=2), tuple(spec.shape))
    return tokens.astype(spec.dtype.as_numpy_dtype)


def _labels(loss: str, spec: tf.TensorSpec, classes: int, rng: np.random.Generator) -> Array:
    shape = tuple(spec.shape)
    if loss == "sparse_categorical_crossentropy":
        return rng.integers(0, classes, shape).astype(np.int32)
    if loss == "categorical_crossentropy":
        one_hot: Array = np.eye(classes, dtype=np.float32)[rng.integers(0, classes, shape[:-1])]
        return one_hot
    if loss == "binary_crossentropy":
        return rng.integers(0, 2, shape).astype(np.float32)
    return rng.normal(size=shape).astype(np.float32)


def _train(trainee: Trainee, batches: list[Batch], rates: Array, seeds: Array) -> Trained:
    model, losses, weights = trainee.model, [], []
    optimizer = trainee.optimizer.reference()
    optimizer.build(model.trainable_variables)
    received = [tf.constant(variable.numpy()) for variable in model.trainable_variables]
    step = _traced(partial(_step, trainee, optimizer, received), trainee.batch(None)[:2])
    takes_seed = len(step.input_signature) > 2
    for batch, rate, seed in zip(batches, rates, np.resize(seeds, STEPS), strict=True):
        optimizer.learning_rate = float(rate)
        losses.append(step(*batch.examples, *[seed] * takes_seed).numpy())
        weights.append(weights_of(model))
    return Trained(np.array(losses, np.float32), weights, takes_seed)


def _traced(step: Callable[..., tf.Tensor], inputs: list[tf.TensorSpec]) -> Any:
    """Keras's step; its random numbers, if it draws any, are those of the phone for a seed."""
    function = tf.function(step, input_signature=inputs, autograph=False)
    with seeds_left_alone():
        traced = function.get_concrete_function()
    if not is_random(traced.graph):
        return function
    return tf.function(seeded(traced, VERBATIM), input_signature=[*inputs, SEED], autograph=False)


def _step(
    trainee: Trainee,
    optimizer: keras.optimizers.Optimizer,
    received: list[tf.Tensor],
    x: tf.Tensor,
    y: tf.Tensor,
) -> tf.Tensor:
    model = trainee.model
    with tf.GradientTape() as tape:
        mean = tf.reduce_mean(trainee.loss.function.call(y, model(x, training=True)))
        loss = tf.add_n([mean, *model.losses, *_proximal_term(trainee, received)])
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    optimizer.apply(gradients, model.trainable_variables)
    return loss


def _proximal_term(trainee: Trainee, received: list[tf.Tensor]) -> list[tf.Tensor]:
    pairs = zip(trainee.model.trainable_variables, received, strict=True)
    distance = sum(tf.reduce_sum((variable.value - start) ** 2) for variable, start in pairs)
    return [0.5 * trainee.proximal * distance] if trainee.proximal else []


def _evaluate(trainee: Trainee, batch: Batch) -> tuple[Array, Array]:
    x, y = batch.examples
    outputs = trainee.outputs(x, training=False)
    loss = tf.reduce_sum(trainee.loss.per_example(y, outputs))
    correct = tf.reduce_sum(trainee.loss.correct(y, outputs))
    return loss.numpy(), correct.numpy()


@contextmanager
def _restored(model: keras.Model) -> Iterator[None]:
    kept = [variable.numpy() for variable in model.variables]
    try:
        yield
    finally:
        for variable, array in zip(model.variables, kept, strict=True):
            variable.assign(array)
