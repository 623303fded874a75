"""The layers and options that are exported: small models, each trained on the phone beside Keras.

``docs/layers.md`` is this list, with those of ``loss_cases.py`` and ``refusals.py``:
``python tests/model_export/cases.py > docs/layers.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.machinery import SourceFileLoader
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import keras

layers = keras.layers
IMAGE, SEQUENCE, VECTOR, TOKENS = (6, 5, 2), (6, 4), (6,), (5,)
SHORT, LONG, DEEP = (3, 4), (23, 2), (3, 4, 2)
CLASSES, VOCABULARY = 3, 7
Options = dict[str, Any]
PAGE = """\
# Layers

What `pocketfed export` is tested with: each line below is trained for ten steps on the phones'
runtime, some batches padded, and compared with Keras after the first and the last step. All run
on builtin operators. This page is written by `python tests/model_export/cases.py`, and a test
fails when it lags.

Other layers may well export: the export itself makes the same comparison, and refuses what fails
it. A layer that cannot be lowered is named with the reason and a replacement; how to read that is
in [your own model](your-own-model.md#when-it-is-refused).

| layer | options |
|---|---|
{layers}

Random layers take the same steps as in Keras once both are given the same numbers: those of the
`seed` that `train` is called with ([artifact.md](artifact.md), "The seed"). A `seed` of the layer
itself plays no part.

Weight regularizers, weight constraints, frozen layers and inner models work with all of them.

Recurrent layers need a fixed number of steps; `train` unrolls them, whether or not they say
`unroll=True`. SimpleRNN, GRU and LSTM with `tanh`, `sigmoid` or `relu` are unrolled with a gradient
of their own; masked sequences, other activations and other
cells are unrolled as Keras does it.

Models of every shape are exported (`tests/model_export/test_model_shapes.py`): `Sequential`,
functional and subclassed ones; several inputs and several outputs, in lists, dicts or dicts of
those; layers and inner models that are shared or called twice, `BatchNormalization` too. A
subclassed model is called once before its export, or the export is given `inputs=keras.Input(…)` in
the structure of its call; `inputs` also close a side that is open. Keras forgets the dtypes of an
earlier call: an input that the model looks up in an `Embedding` or casts to integers first is
int32, any other float32.

| loss | labels | options |
|---|---|---|
{losses}

What a test has seen refused (`tests/model_export/refusals.py`), and what to use instead:

| refused | because | use |
|---|---|---|
{refused}
"""


class Case(NamedTuple):
    """A layer with its options, in a model of one input of ``shape`` that ends in three logits."""

    layer: str
    options: str
    shape: tuple[int, ...]
    build: Callable[[], keras.Model]

    def __str__(self) -> str:
        return f"{self.layer}({self.options})"


def chain(shape: tuple[int, ...], *parts: keras.layers.Layer) -> keras.Model:
    """The parts in a row, then three logits."""
    dtype = "int32" if shape == TOKENS else "float32"
    first = [] if shape == TOKENS else [layers.Dense(4)]
    last = [layers.Flatten(), layers.Dense(CLASSES)]
    return keras.Sequential([keras.Input(shape, dtype=dtype), *first, *parts, *last])


def on(
    shape: tuple[int, ...], layer: type[keras.layers.Layer], *variants: Options, **always: object
) -> Iterator[Case]:
    """One case for each variant of a layer that takes a tensor of ``shape``."""
    for options in variants or ({},):
        build = partial(_one_layer, shape, layer, {**always, **options})
        yield Case(layer.__name__, _text(options), shape, build)


def joined(*joins: type[keras.layers.Layer], **options: object) -> Iterator[Case]:
    """One case for each layer that joins two tensors."""
    for join in joins:
        yield Case(join.__name__, _text(options), VECTOR, partial(_forked, join, options))


def activated(*names: str) -> Case:
    """All the activations side by side in one model."""
    return Case("Activation", ", ".join(names), VECTOR, partial(_activated, names))


def recurrent(layer: type[keras.layers.Layer], *others: Options) -> Iterator[Case]:
    """A recurrent layer alone, in both directions, masked, and over more steps than a stretch."""
    backwards = {"return_sequences": True, "go_backwards": True}
    options = ({}, {"return_sequences": True}, backwards, {"unroll": True}, {"use_bias": False})
    yield from on(SHORT, layer, *options, *others, units=3)
    yield Case(layer.__name__, "masked", TOKENS, lambda: _masked(layer(3)))
    yield Case(
        layer.__name__, "23 steps", LONG, lambda: chain(LONG, layer(3, return_sequences=True))
    )
    name = layer.__name__
    yield Case("Bidirectional", name, SHORT, lambda: chain(SHORT, layers.Bidirectional(layer(3))))


def _one_layer(shape: tuple[int, ...], layer: Any, options: Options) -> keras.Model:
    return chain(shape, layer(**options))


def _text(options: Options) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def _forked(join: Any, options: Options) -> keras.Model:
    x = keras.Input(VECTOR)
    branches = [layers.Dense(4, "tanh")(x), layers.Dense(4, "relu")(x)]
    return keras.Model(x, layers.Dense(CLASSES)(join(**options)(branches)))


def _activated(names: tuple[str, ...]) -> keras.Model:
    x = keras.Input(VECTOR)
    branches = [layers.Dense(4, name)(x) for name in names]
    return keras.Model(x, layers.Dense(CLASSES)(layers.Concatenate()(branches)))


def _attention(layer: Any, options: Options) -> keras.Model:
    x = keras.Input(SEQUENCE)
    y = layers.LayerNormalization()(layers.Add()([x, layer(2, 3)(x, x, **options)]))
    return keras.Model(x, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(y)))


def _approximate_gelu() -> keras.Model:
    return chain(VECTOR, layers.Activation(partial(keras.activations.gelu, approximate=True)))


def _masked(*parts: keras.layers.Layer) -> keras.Model:
    return chain(TOKENS, layers.Embedding(VOCABULARY, 4, mask_zero=True), *parts)


def _masked_both_ways() -> keras.Model:
    both_ways = layers.Bidirectional(layers.LSTM(3, return_sequences=True))
    return _masked(both_ways, layers.GlobalAveragePooling1D())


def _stacked_cells() -> keras.Model:
    return chain(SHORT, layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)]))


def _recurrent_dropout(layer: type[keras.layers.Layer]) -> Iterator[Case]:
    options = {"dropout": 0.3, "recurrent_dropout": 0.3}
    yield from on(SHORT, layer, options, units=3)


SAME: Options = {"padding": "same"}
STRIDED: Options = {"strides": 2, "padding": "same"}
DILATED: Options = {"dilation_rate": 2, "padding": "same"}
EVERYWHERE: tuple[Options, ...] = ({}, STRIDED, DILATED)
POOLED: tuple[Options, ...] = ({}, {"strides": 1}, STRIDED)
TRANSPOSED: tuple[Options, ...] = ({}, {"strides": 2}, STRIDED, {"strides": 2, "output_padding": 1})

CASES: tuple[Case, ...] = (
    *on(SEQUENCE, layers.Dense, units=4),
    *on(SEQUENCE, layers.EinsumDense, equation="abc,cd->abd", output_shape=(6, 4)),
    *on(IMAGE, layers.Conv2D, *EVERYWHERE, {"groups": 2}, filters=4, kernel_size=3),
    *on(IMAGE, layers.Conv2D, {"groups": 2, "strides": 2}, filters=4, kernel_size=3),
    *on(SEQUENCE, layers.Conv1D, *EVERYWHERE, {"groups": 2}, filters=4, kernel_size=3),
    *on(SEQUENCE, layers.Conv1D, {"padding": "causal"}, filters=4, kernel_size=3),
    *on(IMAGE, layers.DepthwiseConv2D, *EVERYWHERE, {"depth_multiplier": 2}, kernel_size=3),
    *on(SEQUENCE, layers.DepthwiseConv1D, *EVERYWHERE, {"depth_multiplier": 2}, kernel_size=3),
    *on(IMAGE, layers.SeparableConv2D, *EVERYWHERE, filters=5, kernel_size=3),
    *on(SEQUENCE, layers.SeparableConv1D, *EVERYWHERE, filters=5, kernel_size=3),
    *on(IMAGE, layers.Conv2DTranspose, *TRANSPOSED, filters=3, kernel_size=3),
    *on(SEQUENCE, layers.Conv1DTranspose, *TRANSPOSED, filters=3, kernel_size=3),
    *on(IMAGE, layers.MaxPooling2D, *POOLED, pool_size=3),
    *on(IMAGE, layers.AveragePooling2D, *POOLED, pool_size=3),
    *on(SEQUENCE, layers.MaxPooling1D, *POOLED, pool_size=3),
    *on(SEQUENCE, layers.AveragePooling1D, *POOLED, pool_size=3),
    *on(IMAGE, layers.GlobalMaxPooling2D),
    *on(IMAGE, layers.GlobalAveragePooling2D),
    *on(SEQUENCE, layers.GlobalMaxPooling1D),
    *on(SEQUENCE, layers.GlobalAveragePooling1D),
    *on(IMAGE, layers.ZeroPadding2D, padding=((1, 2), (0, 1))),
    *on(SEQUENCE, layers.ZeroPadding1D, padding=2),
    *on(IMAGE, layers.Cropping2D, cropping=((1, 2), (0, 1))),
    *on(SEQUENCE, layers.Cropping1D, cropping=(1, 2)),
    *on(IMAGE, layers.UpSampling2D, {}, {"interpolation": "bilinear"}, size=(2, 3)),
    *on(SEQUENCE, layers.UpSampling1D, size=2),
    *on(IMAGE, layers.Resizing, {}, {"interpolation": "nearest"}, height=4, width=7),
    *on(IMAGE, layers.Permute, dims=(3, 1, 2)),
    *on(IMAGE, layers.Reshape, target_shape=(15, -1)),
    *on(VECTOR, layers.RepeatVector, n=3),
    *on(VECTOR, layers.Rescaling, scale=0.5, offset=1),
    *joined(layers.Add, layers.Subtract, layers.Multiply, layers.Average),
    *joined(layers.Maximum, layers.Minimum, layers.Concatenate),
    *joined(layers.Dot, axes=1),
    activated("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish"),
    activated("tanh", "sigmoid", "softplus", "softsign", "softmax", "exponential", "linear"),
    activated("hard_tanh", "hard_sigmoid", "hard_silu", "hard_shrink", "soft_shrink"),
    activated("tanh_shrink", "squareplus", "log_sigmoid", "log_softmax"),
    activated("sparse_plus", "sparse_sigmoid", "sparsemax"),
    Case("Activation", "gelu(approximate=True)", VECTOR, _approximate_gelu),
    *on(VECTOR, layers.ReLU, {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.1}),
    *on(VECTOR, layers.LeakyReLU),
    *on(VECTOR, layers.ELU),
    *on(VECTOR, layers.Softmax),
    *on(IMAGE, layers.PReLU, {}, {"shared_axes": (1, 2)}, alpha_initializer="ones"),
    *on(IMAGE, layers.BatchNormalization, {}, {"trainable": False}, {"axis": 1}, {"renorm": True}),
    *on(SEQUENCE, layers.BatchNormalization, {"momentum": 0.5, "scale": False}),
    *on(SEQUENCE, layers.LayerNormalization, {}, {"axis": (1, 2)}),
    *on(SEQUENCE, layers.RMSNormalization),
    *on(IMAGE, layers.GroupNormalization, {"groups": 2}, {"groups": -1}),
    *on(VECTOR, layers.UnitNormalization),
    *on(TOKENS, layers.Embedding, input_dim=VOCABULARY, output_dim=4),
    *recurrent(layers.SimpleRNN, {"activation": "relu"}),
    *recurrent(layers.GRU, {"reset_after": False}),
    *recurrent(layers.LSTM, {"activation": "relu"}, {"recurrent_activation": "hard_sigmoid"}),
    Case("Bidirectional", "LSTM(return_sequences=True), masked", TOKENS, _masked_both_ways),
    Case("RNN", "[LSTMCell, GRUCell]", SHORT, _stacked_cells),
    Case("ConvLSTM1D", "", DEEP, lambda: chain(DEEP, layers.ConvLSTM1D(2, 2))),
    Case(
        "TimeDistributed",
        "Dense",
        SEQUENCE,
        lambda: chain(SEQUENCE, layers.TimeDistributed(layers.Dense(3))),
    ),
    Case("MultiHeadAttention", "", SEQUENCE, lambda: _attention(layers.MultiHeadAttention, {})),
    Case(
        "MultiHeadAttention",
        "use_causal_mask=True",
        SEQUENCE,
        lambda: _attention(layers.MultiHeadAttention, {"use_causal_mask": True}),
    ),
)
RANDOM: tuple[Case, ...] = (
    *on(VECTOR, layers.Dropout, {}, {"seed": 1}, rate=0.5),
    *on(SEQUENCE, layers.Dropout, {"noise_shape": (None, 1, None)}, rate=0.5),
    *on(IMAGE, layers.Dropout, {"noise_shape": (1, 6, 5, 4)}, rate=0.1),
    *on(SEQUENCE, layers.SpatialDropout1D, rate=0.5),
    *on(IMAGE, layers.SpatialDropout2D, rate=0.5),
    *on(SEQUENCE, layers.GaussianNoise, {}, {"seed": 1}, stddev=0.5),
    *on(SEQUENCE, layers.GaussianDropout, {}, {"seed": 1}, rate=0.5),
    *on(SEQUENCE, layers.AlphaDropout, {}, {"noise_shape": (None, 1, None)}, rate=0.3),
    Case(
        "MultiHeadAttention",
        "dropout=0.4",
        SEQUENCE,
        lambda: _attention(partial(layers.MultiHeadAttention, dropout=0.4), {}),
    ),
    *_recurrent_dropout(layers.SimpleRNN),
    *_recurrent_dropout(layers.GRU),
    *_recurrent_dropout(layers.LSTM),
)


def page() -> str:
    """The text of ``docs/layers.md``."""
    listed = sorted((*CASES, *RANDOM), key=lambda case: case.layer)
    by_layer = groupby(listed, lambda case: case.layer)
    by_loss = groupby(beside("loss_cases").LOSSES, lambda case: case.loss)
    refused = dict.fromkeys(refusal.row for refusal in beside("refusals").REFUSED)
    return PAGE.format(
        layers="\n".join(_layer_row(layer, list(cases)) for layer, cases in by_layer),
        losses="\n".join(_loss_row(loss, list(cases)) for loss, cases in by_loss),
        refused="\n".join(f"| {' | '.join(row)} |" for row in refused),
    )


def beside(name: str) -> ModuleType:
    """Another list of this folder, which is no package."""
    module, path = ModuleType(name), Path(__file__).with_name(f"{name}.py")
    SourceFileLoader(name, str(path)).exec_module(module)
    return module


def _layer_row(layer: str, cases: list[Case]) -> str:
    return f"| {layer} | {_shown([case.options for case in cases])} |"


def _loss_row(loss: str, cases: list[Any]) -> str:
    labels = " · ".join(dict.fromkeys(case.labels for case in cases))
    return f"| `{loss}` | {labels} | {_shown([case.shown for case in cases])} |"


def _shown(options: list[str]) -> str:
    return " · ".join(dict.fromkeys(f"`{text}`" if text else "as it is" for text in options))


if __name__ == "__main__":
    sys.stdout.write(page())
