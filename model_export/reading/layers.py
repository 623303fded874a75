"""A Keras model as plain data: what another Keras needs to build the same layers."""

from __future__ import annotations

from typing import Any

import keras

from ...protocol.errors import ExportError, UnsupportedLayer
from ..zoo import ZOO, zoo_model

Plain = dict[str, Any]
# What each kind is told; a layer with any other option of its own is refused.
_OPTIONS: dict[str, tuple[str, ...]] = {
    "Flatten": (),
    "Reshape": ("target_shape",),
    "Dense": ("units", "activation", "use_bias"),
    "Conv2D": ("filters", "kernel_size", "strides", "padding", "activation", "use_bias"),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "AveragePooling2D": ("pool_size", "strides", "padding"),
    "Embedding": ("input_dim", "output_dim"),
    "LSTM": ("units", "return_sequences"),
}
_LOSS = "SparseCategoricalCrossentropy"
# First weights are given, and everything here is float32.
_IRRELEVANT = ("name", "dtype", "seed")


def described(model: keras.Sequential, loss: keras.losses.Loss) -> Plain:
    """``layers`` and ``loss``, each as a kind with its options; for JSON.

    Raises UnsupportedLayer for a model that is no sequence of layers known here, and ExportError
    for a loss that is not.
    """
    if not isinstance(model, keras.Sequential):
        raise UnsupportedLayer(f"{model.name} is no keras.Sequential, which alone can be described")
    return {"layers": [_layer(layer) for layer in model.layers], "loss": _loss(loss)}


def described_zoo(name: str) -> Plain:
    """A model of the zoo; raises ExportError when there is none of this name."""
    model = zoo_model(name)
    return described(model, ZOO[name].loss())


def _loss(loss: keras.losses.Loss) -> Plain:
    config, kind = loss.get_config(), type(loss).__name__
    options = {"from_logits": bool(config.get("from_logits"))}
    if kind != _LOSS or _relevant(config) != _relevant(type(loss)(**options).get_config()):
        raise ExportError(f"got the loss {loss.name}, described is {_LOSS} without other options")
    return {"kind": kind, "options": options}


def _layer(layer: keras.layers.Layer) -> Plain:
    kind = type(layer).__name__
    if kind not in _OPTIONS:
        known = ", ".join(_OPTIONS)
        raise UnsupportedLayer(f"{layer.name} is of the kind {kind}, described are {known}")
    config = layer.get_config()
    options = {name: config[name] for name in _OPTIONS[kind]}
    plain = _relevant(type(layer)(**options).get_config())
    others = sorted(
        name for name, value in _relevant(config).items() if value != plain.get(name, value)
    )
    if others:
        raise UnsupportedLayer(f"{layer.name} sets {others[0]}, which cannot be described")
    return {"kind": kind, "options": {"name": layer.name, **options}}


def _relevant(config: Plain) -> Plain:
    return {
        name: value
        for name, value in config.items()
        if name not in _IRRELEVANT and not name.endswith("initializer")
    }
