"""The models of the federated averaging paper (arXiv 1602.05629, section 3), ready to export.

And MobileNetV2, as an example of what is trained in part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import keras
import numpy as np

from ..protocol.artifact import InputScale
from ..protocol.errors import ExportError
from ..protocol.plan import Plan

DIGITS = tuple(str(digit) for digit in range(10))
AS_IS = InputScale()
PIXELS, CENTRED_PIXELS = InputScale(scale=1 / 255), InputScale(offset=127.5, scale=1 / 127.5)


OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CHARACTERS, WORDS = 90, 10_000


@dataclass(frozen=True)
class ZooModel:
    """A model and how it is exported; ``build(seed)`` gives the same weights for the same seed.

    The builder of a language model also takes a ``vocabulary``, the number of its tokens.
    """

    build: Callable[..., keras.Model]
    loss: Callable[[], keras.losses.Loss]
    labels: tuple[str, ...] = ()
    input_scale: InputScale = AS_IS
    batch_size: int = 10
    evaluate_batch_size: int = 100
    plan: Plan = field(default_factory=Plan)
    has_vocabulary: bool = False


def mnist_2nn(seed: int) -> keras.Model:
    """784-200-200-10 with ReLU: 199,210 weights."""
    seeds = np.random.default_rng(seed)
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
    seeds = np.random.default_rng(seed)
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


def cifar_cnn(seed: int) -> keras.Model:
    """Two convolutions of 5x5x64 with overlapping pools, then 384, 192 and 10: 1,068,298 weights.

    For crops of 24x24. The paper's comes from a TensorFlow tutorial, which also normalizes local
    responses; no phone can train that, and it is left out.
    """
    seeds = np.random.default_rng(seed)
    return keras.Sequential(
        [
            keras.Input((24, 24, 3)),
            _conv(64, "conv_1", seeds),
            keras.layers.MaxPooling2D(3, strides=2, padding="same", name="pool_1"),
            _conv(64, "conv_2", seeds),
            keras.layers.MaxPooling2D(3, strides=2, padding="same", name="pool_2"),
            keras.layers.Flatten(name="flatten"),
            _dense(384, "hidden_1", seeds, activation="relu"),
            _dense(192, "hidden_2", seeds, activation="relu"),
            _dense(10, "logits", seeds),
        ],
        name="cifar_cnn",
    )


def char_lstm(seed: int, *, vocabulary: int = CHARACTERS) -> keras.Model:
    """The next of 80 characters: 8 numbers each, two LSTM of 256, logits: 820,522 weights.

    The paper counts 866,578, with peephole connections and another vocabulary; 258 characters make
    865,042.
    """
    seeds = np.random.default_rng(seed)
    return keras.Sequential(
        [
            keras.Input((80,), dtype="int32"),
            _embedding(vocabulary, 8, seeds),
            _lstm("lstm_1", seeds),
            _lstm("lstm_2", seeds),
            _dense(vocabulary, "logits", seeds),
        ],
        name="char_lstm",
    )


def word_lstm(seed: int, *, vocabulary: int = WORDS) -> keras.Model:
    """The next of 10 words: 192 numbers each, one LSTM of 256, logits: 4,949,776 weights.

    The paper counts 4,950,544, with peephole connections.
    """
    seeds = np.random.default_rng(seed)
    return keras.Sequential(
        [
            keras.Input((10,), dtype="int32"),
            _embedding(vocabulary, 192, seeds),
            _lstm("lstm", seeds),
            _dense(vocabulary, "logits", seeds),
        ],
        name="word_lstm",
    )


def mobilenet_v2(seed: int) -> keras.Model:
    """MobileNetV2 (arXiv 1801.04381) of width 0.35 for 96x96: 423,018 weights, from scratch.

    Residual branches begin at zero (arXiv 1706.02677, section 5.1), without which the first steps
    are chaotic. Give ``export`` a pretrained one to fine-tune it.
    """
    seeds = np.random.default_rng(seed)
    model = keras.applications.MobileNetV2(
        weights=None,
        alpha=0.35,
        input_shape=(96, 96, 3),
        classes=10,
        classifier_activation=None,
        name="mobilenet_v2",
    )
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            draw = keras.initializers.GlorotUniform(seed=_next(seeds))
            layer.kernel.assign(draw(layer.kernel.shape))
        if isinstance(layer, keras.layers.Add):
            gamma = model.get_layer(layer.name.replace("_add", "_project_BN")).gamma
            gamma.assign(keras.ops.zeros_like(gamma))
    return model


def _embedding(vocabulary: int, size: int, seeds: np.random.Generator) -> keras.layers.Layer:
    draw = keras.initializers.RandomUniform(seed=_next(seeds))
    return keras.layers.Embedding(vocabulary, size, embeddings_initializer=draw, name="embedding")


def _lstm(name: str, seeds: np.random.Generator) -> keras.layers.Layer:
    return keras.layers.LSTM(
        256,
        return_sequences=True,
        kernel_initializer=keras.initializers.GlorotUniform(seed=_next(seeds)),
        recurrent_initializer=keras.initializers.Orthogonal(seed=_next(seeds)),
        name=name,
    )


def _conv(filters: int, name: str, seeds: np.random.Generator) -> keras.layers.Layer:
    return keras.layers.Conv2D(
        filters,
        5,
        padding="same",
        activation="relu",
        kernel_initializer=keras.initializers.GlorotUniform(seed=_next(seeds)),
        name=name,
    )


def _dense(
    units: int, name: str, seeds: np.random.Generator, *, activation: str | None = None
) -> keras.layers.Layer:
    return keras.layers.Dense(
        units,
        activation=activation,
        kernel_initializer=keras.initializers.GlorotUniform(seed=_next(seeds)),
        name=name,
    )


def _next(seeds: np.random.Generator) -> int:
    return int(seeds.integers(2**31))


def _crossentropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


ZOO: Mapping[str, ZooModel] = {
    "mnist_2nn": ZooModel(mnist_2nn, _crossentropy, DIGITS, PIXELS),
    "mnist_cnn": ZooModel(mnist_cnn, _crossentropy, DIGITS, PIXELS),
    "cifar_cnn": ZooModel(cifar_cnn, _crossentropy, OBJECTS, PIXELS),
    "char_lstm": ZooModel(char_lstm, _crossentropy, has_vocabulary=True),
    "word_lstm": ZooModel(word_lstm, _crossentropy, evaluate_batch_size=20, has_vocabulary=True),
    "mobilenet_v2": ZooModel(
        mobilenet_v2, _crossentropy, OBJECTS, CENTRED_PIXELS, evaluate_batch_size=20
    ),
}


def zoo_model(name: str, *, seed: int = 0, vocabulary: int | None = None) -> keras.Model:
    """A model of the zoo with the weights that ``seed`` draws.

    ``vocabulary`` is the number of tokens of a language model, by default the paper's. Raises
    ExportError when there is none of this name, or when it is no language model.
    """
    if name not in ZOO:
        raise ExportError(f"the zoo has no {name!r}, only {', '.join(ZOO)}; a file ends in .keras")
    if vocabulary is None:
        return ZOO[name].build(seed)
    if not ZOO[name].has_vocabulary:
        raise ExportError(f"got vocabulary={vocabulary}, but {name} is no language model")
    if vocabulary < 2:
        raise ExportError(f"got vocabulary={vocabulary}, expected at least two tokens")
    return ZOO[name].build(seed, vocabulary=vocabulary)
