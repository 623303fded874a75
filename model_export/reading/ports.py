"""The tensors that go into and come out of a model, by the names a phone calls them.

The only input of a model is ``x``, its only output ``outputs`` with labels ``y``. Where there are
several, each role is followed by the name Keras knows the tensor by: ``x_image``, ``y_age``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

_NUMBERED = re.compile(r"keras_tensor(_\d+)?\Z")
_NO_LETTER = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True)
class Port:
    """One tensor of a call; ``name`` is what Keras's ``loss`` and ``loss_weights`` call it.

    ``suffix`` follows the role in a signature and is empty for the only tensor of its side;
    ``shape`` is that of one example.
    """

    name: str
    suffix: str
    shape: tuple[int | None, ...]
    dtype: tf.DType

    def spec(self, role: str, size: int | None) -> tf.TensorSpec:
        """What a signature takes or gives for ``size`` examples, None for any number."""
        return tf.TensorSpec((size, *self.shape), self.dtype, name=f"{role}{self.suffix}")


def inputs_of(model: keras.Model) -> tuple[Port, ...]:
    """The inputs in Keras's order: by path where there is a dict, else by name or place."""
    names = [None if _NUMBERED.match(tensor.name) else tensor.name for tensor in model.inputs]
    return _ports(model.inputs, _structure(model, "input"), names)


def outputs_of(model: keras.Model) -> tuple[Port, ...]:
    """The outputs in Keras's order: by path if there is a dict, else by ``model.output_names``."""
    names = getattr(model, "output_names", [None] * len(model.outputs))
    return _ports(model.outputs, _structure(model, "output"), list(names))


def called(
    model: keras.Model, inputs: Sequence[tf.Tensor], *, training: bool
) -> tuple[tf.Tensor, ...]:
    """Calls the model with the structure it was built with; its outputs in order."""
    structure = keras.tree.pack_sequence_as(_structure(model, "input"), list(inputs))
    return tuple(keras.tree.flatten(model(structure, training=training)))


def _structure(model: keras.Model, side: str) -> Any:
    # A Sequential has no structure of its own until another model calls it.
    if isinstance(model, keras.Sequential):
        return getattr(model, f"{side}s")[0]
    return getattr(model, side)


def _ports(tensors: list[Any], structure: Any, names: list[str | None]) -> tuple[Port, ...]:
    paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
    if any(isinstance(key, str) for path in paths for key in path):
        names = ["_".join(str(key) for key in path) for path in paths]
    chosen = [name or str(place) for place, name in enumerate(names)]
    safe = [_NO_LETTER.sub("_", name) for name in chosen]
    if len(set(safe)) < len(safe):
        chosen = safe = [str(place) for place in range(len(tensors))]
    suffixes = [""] if len(tensors) == 1 else [f"_{name}" for name in safe]
    return tuple(
        Port(name, suffix, tuple(tensor.shape[1:]), tf.as_dtype(tensor.dtype))
        for name, suffix, tensor in zip(chosen, suffixes, tensors, strict=True)
    )
