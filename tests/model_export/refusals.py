"""What the export refuses: a row of ``docs/layers.md`` each, with a model that shows it.

Rows that say the same are one line of the page and several tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import keras

layers = keras.layers
draws = keras.random
Draw = Callable[..., Any]


class Refusal(NamedTuple):
    """A row of the page, the model and options of an export, and what its error must say.

    What is ``up_to_keras`` exports on a machine where Keras's own kernels can train it.
    """

    what: str
    because: str
    use: str
    words: tuple[str, ...]
    build: Callable[[], keras.Model]
    options: Mapping[str, object] = {}
    up_to_keras: bool = False

    @property
    def row(self) -> tuple[str, str, str]:
        return self.what, self.because, self.use


class Drawing(layers.Layer):
    """Adds numbers that ``draw`` makes for a shape."""

    def __init__(self, draw: Draw) -> None:
        super().__init__(name="drawing")
        self.draw, self.seeds = draw, draws.SeedGenerator(1)

    def call(self, inputs):
        return inputs + self.draw(keras.ops.shape(inputs), seed=self.seeds)


class Halving(layers.Layer):
    """Halves its inputs until they are small; nobody knows how often."""

    def call(self, inputs):
        return keras.ops.while_loop(
            lambda x: keras.ops.max(keras.ops.abs(x)) > 0.1, lambda x: (x / 2,), (inputs,)
        )[0]


class Penalized(layers.Layer):
    """Adds its own mean square to the loss."""

    def call(self, inputs):
        self.add_loss(keras.ops.mean(inputs**2))
        return inputs


class Adversarial(keras.Model):
    """Steps in a way of its own."""

    def train_step(self, data):
        return {}


class Opinionated(keras.Model):
    """Has its own idea of a loss."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.abs(y_pred))


def chain(shape: tuple[int, ...], *parts: keras.layers.Layer) -> keras.Model:
    """The parts in a row."""
    return keras.Sequential([keras.Input(shape), *parts], name="small")


def _drawing(draw: Draw, op_type: str) -> Refusal:
    return Refusal(
        "layers that draw gamma, binomial or truncated normal numbers",
        "they have no lowering",
        "uniform, normal, integer or categorical ones",
        (f"UnsupportedLayer: small/drawing (Drawing) needs {op_type}", "draw uniform, normal"),
        lambda: chain((6,), layers.Dense(4), Drawing(draw)),
    )


def _own_step(model: type[keras.Model], method: str) -> Refusal:
    return Refusal(
        "a `train_step` or `compute_loss` of one's own",
        "only layers and losses are read",
        "a loss",
        (f"{model.__name__} has a {method} of its own", "export the inner model with a loss"),
        model,
    )


def _stateful() -> keras.Model:
    memory = layers.LSTM(4, stateful=True, name="memory")
    return keras.Sequential([keras.Input((5, 2), batch_size=4), memory], name="small")


def _regression() -> keras.Model:
    return chain((6,), layers.Dense(3))


REFUSED: tuple[Refusal, ...] = (
    _drawing(partial(draws.gamma, alpha=1.0), "StatelessRandomGammaV3"),
    _drawing(partial(draws.binomial, counts=4.0, probabilities=0.5), "StatelessRandomBinomial"),
    _drawing(draws.truncated_normal, "StatelessTruncatedNormalV2"),
    Refusal(
        "stateful recurrent layers",
        "one batch would be felt by the next",
        "`stateful=False`",
        ("UnsupportedLayer: ", "memory (LSTM)", "from one batch to the next", "stateful=False"),
        _stateful,
    ),
    Refusal(
        "loops that end when a value says so",
        "no phone trains through them",
        "a fixed number of steps, written out",
        ("UnsupportedLayer: ", "halving (Halving)", "While", "fixed number of steps"),
        lambda: chain((6,), layers.Dense(4), Halving(name="halving")),
    ),
    Refusal(
        "Conv3D",
        "its filter gradient has no lowering",
        "Conv2D over images",
        ("UnsupportedLayer: small/solid (Conv3D)", "Conv3DBackpropFilterV2", "use Conv2D"),
        lambda: chain((4, 4, 4, 2), layers.Conv3D(3, 2, name="solid")),
    ),
    Refusal(
        "SpectralNormalization",
        "it branches",
        "a weight constraint such as UnitNorm",
        ("UnsupportedLayer: ", "bounded (SpectralNormalization)", "If", "weight constraint"),
        lambda: chain((6,), layers.SpectralNormalization(layers.Dense(4), name="bounded")),
    ),
    Refusal(
        "activity regularizers",
        "they sum over padding too",
        "a weight regularizer",
        ("UnsupportedLayer: small/calm (Dense)", "activity regularizer", "a weight regularizer"),
        lambda: chain((6,), layers.Dense(4, activity_regularizer="l2", name="calm")),
    ),
    Refusal(
        "`add_loss`",
        "what it adds sums over padding too",
        "an output with a loss of its own",
        ("UnsupportedLayer: small/fat (Penalized) calls add_loss",),
        lambda: chain((3,), layers.Dense(2), Penalized(name="fat")),
    ),
    Refusal(
        "BatchNormalization in a wrapper",
        "padding would change the step",
        "it outside the wrapper",
        ("UnsupportedLayer: ", "norm (BatchNormalization)", "wrapped", "trainable=False"),
        lambda: chain((5, 2), layers.TimeDistributed(layers.BatchNormalization(name="norm"))),
    ),
    _own_step(Adversarial, "train_step"),
    _own_step(Opinionated, "compute_loss"),
    Refusal(
        "a loss with `reduction='sum'`",
        "a step takes the mean",
        "a higher learning rate",
        ("has reduction='sum', but a step takes the mean", "raise the learning rate"),
        _regression,
        {"loss": keras.losses.MeanSquaredError(reduction="sum")},
    ),
    Refusal(
        "a loss with `ignore_class`",
        "a step takes the mean over examples",
        "weight 0 for such examples",
        ("has ignore_class set", "give such examples weight 0"),
        _regression,
        {"loss": keras.losses.SparseCategoricalCrossentropy(ignore_class=0)},
    ),
    Refusal(
        "dilated Conv2DTranspose",
        "Keras itself cannot train it on every CPU",
        "`dilation_rate=1`",
        ("Keras itself cannot train small on this machine: ", "not yet support dilation rates"),
        lambda: chain(
            (6, 5, 2), layers.Dense(4), layers.Conv2DTranspose(3, 3, dilation_rate=2, name="wide")
        ),
        up_to_keras=True,
    ),
    Refusal(
        "convolutions with `data_format='channels_first'`",
        "phones have channels last",
        "`'channels_last'`",
        ("UnsupportedLayer: small/first (Conv2D)", "channels come first", "'channels_last'"),
        lambda: chain((2, 6, 5), layers.Conv2D(3, 3, data_format="channels_first", name="first")),
    ),
)
