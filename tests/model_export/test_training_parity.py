"""The exported file on LiteRT, against Keras's own ``train_on_batch`` and ``evaluate``."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
from pocketfed.model_export.converting.convert import convert
from pocketfed.model_export.training.losses import loss_of
from pocketfed.model_export.training.optimizers import optimizer_of
from pocketfed.model_export.training.signatures import Trainee, trace
from pocketfed.protocol.artifact import Artifact
from pocketfed.runtime import Runtime

layers = keras.layers
BATCH, STEPS = 4, 10


def flat(model: keras.Model) -> np.ndarray:
    """What travels of a model without batch normalization: the weights that train."""
    return np.concatenate([v.numpy().reshape(-1) for v in model.trainable_variables])


def sequential(shape: tuple[int, ...], *parts: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *parts])


def convolutional() -> keras.Model:
    return sequential(
        (11, 8, 2),
        layers.Conv2D(6, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(4, (3, 2), padding="valid", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(3),
    )


def overlapping_pools() -> keras.Model:
    return sequential(
        (9, 8, 2),
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(3, strides=2, padding="same"),
        layers.AveragePooling2D(3, strides=1, padding="same"),
        layers.Flatten(),
        layers.Dense(3),
    )


def residual() -> keras.Model:
    image = keras.Input((12, 10, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(image)
    x = layers.ReLU()(layers.Add()([x, layers.Conv2D(4, 1)(x)]))
    x = layers.LeakyReLU()(layers.AveragePooling2D(2)(x))
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def activations() -> keras.Model:
    names = ["relu", "relu6", "leaky_relu", "elu", "selu", "softsign", "softplus", "tanh", "silu"]
    return sequential((6,), *[layers.Dense(5, activation=n) for n in names], layers.Dense(3))


def restrained() -> keras.Model:
    """With a regularizer, a constraint that bites, and a part that does not train."""
    return sequential(
        (6,),
        layers.Dense(5, trainable=False),
        layers.Dense(5, activation="relu", kernel_regularizer=keras.regularizers.L2(0.1)),
        layers.Dense(3, kernel_constraint=keras.constraints.MaxNorm(0.5)),
    )


def embedding() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            layers.Embedding(7, 4),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def nested() -> keras.Model:
    inner = sequential((6,), layers.Reshape((2, 3)), layers.Flatten(), layers.Dense(4, "tanh"))
    outer = keras.Input((6,))
    return keras.Model(outer, layers.Dense(3)(inner(outer)))


SLOW = [embedding, overlapping_pools, residual, activations, nested]
MODELS = [
    convolutional,
    restrained,
    *(pytest.param(build, marks=pytest.mark.slow) for build in SLOW),
]
LOSSES = {
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
}


def draw_inputs(model: keras.Model, rng: np.random.Generator, size: int) -> np.ndarray:
    shape = (size, *model.inputs[0].shape[1:])
    if model.inputs[0].dtype == "int32":
        return rng.integers(0, 7, shape).astype(np.int32)
    return rng.normal(size=shape).astype(np.float32)


def draw_labels(loss: str, rng: np.random.Generator, size: int) -> np.ndarray:
    if loss == "sparse_categorical_crossentropy":
        return rng.integers(0, 3, size).astype(np.int32)
    if loss == "categorical_crossentropy":
        return np.eye(3, dtype=np.float32)[rng.integers(0, 3, size)]
    if loss == "binary_crossentropy":
        return rng.integers(0, 2, (size, 3)).astype(np.float32)
    return rng.normal(size=(size, 3)).astype(np.float32)


def compare(model: keras.Model, loss: keras.losses.Loss) -> Runtime:
    """Trains both for ten batches, every other one padded; compares losses and weights."""
    trainee = Trainee(model, loss_of(loss), optimizer_of("sgd"), BATCH, 6)
    runtime, rng = Runtime(convert(trace(trainee))), np.random.default_rng(7)
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss=loss, run_eagerly=True)
    inputs: dict[str, np.ndarray] = {}
    for step in range(STEPS):
        real = BATCH - step % 2
        x, y = draw_inputs(model, rng, BATCH), draw_labels(trainee.loss.name, rng, BATCH)
        weight = (np.arange(BATCH) < real).astype(np.float32)
        inputs = {"x": x, "y": y, "weight": weight, "learning_rate": np.array(0.05, np.float32)}
        expected = model.train_on_batch(x[:real], y[:real])
        np.testing.assert_allclose(runtime.train(inputs), expected, rtol=2e-5, atol=1e-6)
        if step in (0, STEPS - 1):
            np.testing.assert_allclose(runtime.weights, flat(model), rtol=1e-5, atol=1e-6)
    before = runtime.weights
    assert runtime.train({**inputs, "weight": np.zeros(BATCH, np.float32)}) == 0.0
    np.testing.assert_array_equal(runtime.weights, before)
    return runtime


@pytest.mark.parametrize("build", MODELS)
def test_one_and_ten_steps_equal_those_of_keras(build: Callable[[], keras.Model]) -> None:
    keras.utils.set_random_seed(3)
    compare(build(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))


def test_squared_error_equals_that_of_keras_and_counts_nothing_as_correct() -> None:
    keras.utils.set_random_seed(3)
    runtime = compare(sequential((6,), layers.Dense(3)), keras.losses.MeanSquaredError())
    ones = np.ones(6, np.float32)
    inputs = {"x": np.ones((6, 6), np.float32), "y": np.ones((6, 3), np.float32), "weight": ones}
    assert runtime.call("evaluate", inputs)["correct_sum"] == 0.0


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_by_name_has_the_defaults_of_keras(name: str) -> None:
    rng = np.random.default_rng(0)
    outputs = rng.uniform(0.1, 0.9, (6, 3)).astype(np.float32)
    labels = draw_labels(name, rng, 6)
    got = loss_of(name).mean(labels, outputs, np.ones(6, np.float32))
    np.testing.assert_allclose(got, LOSSES[name]()(labels, outputs), rtol=1e-6)


def test_evaluate_sums_over_the_examples_that_count(
    dense: Artifact, dense_model: keras.Model
) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(5, 6)).astype(np.float32), rng.integers(0, 3, 5).astype(np.int32)
    weight = np.array([1, 1, 0, 1, 0], np.float32)
    sums = Runtime(dense.model).call("evaluate", {"x": x, "y": y, "weight": weight})
    kept = weight > 0
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    dense_model.compile(loss=loss, metrics=["accuracy"])
    mean, accuracy = dense_model.evaluate(x[kept], y[kept], verbose=0)
    assert sums["weight_sum"] == 3.0
    np.testing.assert_allclose(sums["loss_sum"] / 3, mean, rtol=1e-5)
    np.testing.assert_allclose(sums["correct_sum"] / 3, accuracy, rtol=1e-5)


def test_a_batch_of_padding_only_changes_nothing_and_has_loss_zero(
    dense: Artifact, dense_batch: Callable[..., dict[str, np.ndarray]]
) -> None:
    runtime = Runtime(dense.model)
    assert runtime.train(dense_batch(real=0)) == 0.0
    np.testing.assert_array_equal(runtime.weights, dense.checkpoint.vector)


def test_the_learning_rate_is_an_input(
    dense: Artifact, dense_batch: Callable[..., dict[str, np.ndarray]]
) -> None:
    moved = []
    for rate in (0.1, 0.2):
        runtime = Runtime(dense.model)
        runtime.train({**dense_batch(), "learning_rate": np.float32(rate)})
        moved.append(runtime.weights - dense.checkpoint.vector)
    np.testing.assert_allclose(moved[1], 2 * moved[0], rtol=1e-4, atol=1e-7)


def test_weights_go_in_and_out_bit_for_bit(dense: Artifact) -> None:
    runtime = Runtime(dense.model)
    drawn = np.random.default_rng(4).normal(size=runtime.weights.size).astype(np.float32)
    runtime.weights = drawn
    np.testing.assert_array_equal(runtime.weights, drawn)
