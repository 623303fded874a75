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
from .golden import STEPS, Array, Arrays, Golden
from .inspection import float_variables
from .lowering import VERBATIM, is_random, seeded
from .ports import outputs_of
from .randomness import SEED, seeds_left_alone
from .signatures import Trainee

DRAWS, PROBES = 20, 2
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


class Trained(NamedTuple):
    """Losses before and weights after each step; whether the steps draw random numbers."""

    losses: Array
    weights: list[Vector]
    is_random: bool


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
    batches = [_batch_of(golden, step) for step in range(STEPS)]
    tolerances = trainee.optimizer.rule.tolerances
    limit = (tolerances.atol + tolerances.rtol * np.abs(golden.weights_after_10)) / 2
    for probe in range(PROBES):
        with _restored(trainee.model):
            _nudge(trainee.model, np.random.default_rng(probe))
            after = _train(trainee, batches, golden.learning_rate, golden.seed).weights
        if (np.abs(after[-1] - golden.weights_after_10) > limit).any():
            return False
    return True


def _batch_of(golden: Golden, step: int) -> Batch:
    x, y = ({name: side[step] for name, side in part.items()} for part in (golden.x, golden.y))
    return Batch(x, y, golden.weight[step])


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
        sums = _evaluate(trainee, batch)
        outputs = trainee.outputs(tuple(batch.x.values()), training=False)
    return Golden(
        x=_stacked([batch.x for batch in batches]),
        y=_stacked([batch.y for batch in batches]),
        weight=np.stack([batch.weight for batch in batches]),
        learning_rate=rates,
        seed=seeds if trained.is_random else seeds[:0],
        loss=trained.losses,
        weights_after_1=trained.weights[0],
        weights_after_10=trained.weights[-1],
        evaluate_x=batch.x,
        evaluate_y=batch.y,
        evaluate_weight=batch.weight,
        evaluate_sums=sums,
        outputs={
            f"outputs{port.suffix}": value.numpy()
            for port, value in zip(outputs_of(trainee.model), outputs, strict=True)
        },
    )


def _examples(step: int, size: int) -> int:
    """Real examples of a golden batch: every third is padded, the last one to a single example."""
    if step == STEPS - 1:
        return 1
    return max(1, size - step) if step % 3 == 2 else size


def _batch(trainee: Trainee, size: int, real: int, rng: np.random.Generator) -> Batch:
    x, y, weight = trainee.batch(size)
    inputs = {spec.name: _inputs(trainee.model, spec, rng) for spec in x}
    labels = {
        spec.name: _labels(term.loss.name, spec, term.output.shape[-1] or 1, rng)
        for spec, term in zip(y, trainee.objective.terms, strict=True)
    }
    return Batch(inputs, labels, (np.arange(size) < real).astype(weight.dtype.as_numpy_dtype))


def _stacked(steps: list[Arrays]) -> Arrays:
    return {name: np.stack([step[name] for step in steps]) for name in steps[0]}


def _inputs(model: keras.Model, spec: tf.TensorSpec, rng: np.random.Generator) -> Array:
    if spec.dtype.is_floating:
        return rng.random(tuple(spec.shape), dtype=np.float32)
    layers = model._flatten_layers()
    sizes = [layer.input_dim for layer in layers if isinstance(layer, keras.layers.Embedding)]
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
    whole = partial(_step, trainee, optimizer, received)
    step, is_random_step = _traced(whole, trainee.batch(None)[:2])
    for batch, rate, seed in zip(batches, rates, np.resize(seeds, STEPS), strict=True):
        optimizer.learning_rate = float(rate)
        tensors = tf.nest.flatten(batch.examples) + [seed] * is_random_step
        losses.append(step(*tensors).numpy())
        weights.append(trainee.layout.vector)
    return Trained(np.array(losses, np.float32), weights, is_random_step)


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


def _step(
    trainee: Trainee,
    optimizer: keras.optimizers.Optimizer,
    received: list[tf.Tensor],
    x: tuple[tf.Tensor, ...],
    y: tuple[tf.Tensor, ...],
) -> tf.Tensor:
    model = trainee.model
    with tf.GradientTape() as tape:
        mean = trainee.objective.keras_loss(y, trainee.outputs(x, training=True))
        loss = tf.add_n([mean, *model.losses, *_proximal_term(trainee, received)])
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    optimizer.apply(gradients, model.trainable_variables)
    return loss


def _proximal_term(trainee: Trainee, received: list[tf.Tensor]) -> list[tf.Tensor]:
    pairs = zip(trainee.model.trainable_variables, received, strict=True)
    distance = sum(tf.reduce_sum((variable.value - start) ** 2) for variable, start in pairs)
    return [0.5 * trainee.proximal * distance] if trainee.proximal else []


def _evaluate(trainee: Trainee, batch: Batch) -> Arrays:
    """What ``evaluate`` sums, of the real examples alone; the loss is Keras's."""
    x, y = batch.examples
    outputs, count = trainee.outputs(x, training=False), len(x[0])
    sums = trainee.objective.sums(y, outputs, tf.ones(count))
    sums["loss_sum"] = trainee.objective.keras_loss(y, outputs) * count
    return {name: value.numpy() for name, value in sums.items()}


@contextmanager
def _restored(model: keras.Model) -> Iterator[None]:
    kept = [variable.numpy() for variable in model.variables]
    try:
        yield
    finally:
        for variable, array in zip(model.variables, kept, strict=True):
            variable.assign(array)
