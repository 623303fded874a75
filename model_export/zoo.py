"""The models of the federated averaging paper (arXiv 1602.05629, section 3), ready to export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import keras

from ..protocol.artifact import InputScale
from ..protocol.plan import Plan

DIGITS = tuple(str(digit) for digit in range(10))
PIXELS = InputScale(scale=1 / 255)


@dataclass(frozen=True)
class ZooModel:
    """A model and how it is exported; ``build(seed)`` gives the same weights for the same seed."""

    build: Callable[[int], keras.Model]
    loss: Callable[[], keras.losses.Loss]
    labels: tuple[str, ...]
    input_scale: InputScale
    batch_size: int = 10
    evaluate_batch_size: int = 100
    plan: Plan = field(default_factory=Plan)


def mnist_2nn(seed: int) -> keras.Model:
    """784-200-200-10 with ReLU: 199,210 weights."""
    seeds = keras.random.SeedGenerator(seed)
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(name="flatten"),
            _dense(200, "hidden_1", seeds, activation="relu"),
            _dense(200, "hidden_2", seeds, activation="relu"),
            _dense(10, "logits", seeds),
        ],
        name="mnist_2nn",
    )


def mnist_cnn(seed: int) -> keras.Model:
    """5x5x32 and 5x5x64, each max-pooled, then 512 ReLU and 10: 1,663,370 weights."""
    seeds = keras.random.SeedGenerator(seed)
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Reshape((28, 28, 1), name="image"),
            _conv(32, "conv_1", seeds),
            keras.layers.MaxPooling2D(2, name="pool_1"),
            _conv(64, "conv_2", seeds),
            keras.layers.MaxPooling2D(2, name="pool_2"),
            keras.layers.Flatten(name="flatten"),
            _dense(512, "hidden", seeds, activation="relu"),
            _dense(10, "logits", seeds),
        ],
        name="mnist_cnn",
    )


def _conv(filters: int, name: str, seeds: keras.random.SeedGenerator) -> keras.layers.Layer:
    return keras.layers.Conv2D(
        filters,
        5,
        padding="same",
        activation="relu",
        kernel_initializer=keras.initializers.GlorotUniform(seed=_next(seeds)),
        name=name,
    )


def _dense(
    units: int, name: str, seeds: keras.random.SeedGenerator, *, activation: str | None = None
) -> keras.layers.Layer:
    return keras.layers.Dense(
        units,
        activation=activation,
        kernel_initializer=keras.initializers.GlorotUniform(seed=_next(seeds)),
        name=name,
    )


def _next(seeds: keras.random.SeedGenerator) -> int:
    return int(keras.ops.convert_to_numpy(seeds.next())[0])


def _crossentropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


ZOO: Mapping[str, ZooModel] = {
    "mnist_2nn": ZooModel(mnist_2nn, _crossentropy, DIGITS, PIXELS),
    "mnist_cnn": ZooModel(mnist_cnn, _crossentropy, DIGITS, PIXELS),
}
