"""Any Keras model as one whose inputs are known: a subclassed model becomes one call to itself.

Weights, their paths and the layers stay those of the user's model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from ...protocol.errors import ExportError, first_line
from .inspection import require_own_training

READS_INTEGERS = frozenset({"Cast", "NotEqual"})


def functional(model: keras.Model, inputs: Any = None) -> keras.Model:
    """The model itself if it knows its inputs, else a functional model that calls it once.

    ``inputs`` are keras.Input objects in the structure of the call; without them the shapes of
    an earlier build or call are taken. Raises ExportError when there are neither.
    """
    require_own_training(model)
    if inputs is None and getattr(model, "inputs", None):
        return model
    given = _remembered(model) if inputs is None else inputs
    try:
        return keras.Model(given, model(given), name=model.name)
    except (TypeError, ValueError) as error:
        raise ExportError(
            f"{model.name} cannot be called with one structure of inputs: {first_line(error)}; "
            "let its call take a tensor, a list or a dict, and give the export inputs= in that "
            "structure"
        ) from error


def _remembered(model: keras.Model) -> Any:
    """Inputs of the shapes Keras keeps; it forgets dtypes, so these are read off the graph."""
    shapes = (model.get_build_config() or {}).get("input_shape")
    if shapes is None:
        raise ExportError(
            f"{model.name} has no inputs yet; begin it with keras.Input(shape), call it once on a "
            "batch, or give the export inputs=keras.Input(shape)"
        )
    floats = _symbolic(shapes)
    flat = keras.tree.flatten(floats)
    names = [None if tensor.name.startswith("keras_tensor") else tensor.name for tensor in flat]
    dtypes = _dtypes(model, floats)
    return keras.tree.pack_sequence_as(
        floats,
        [
            keras.Input(tensor.shape[1:], dtype=dtype, name=name)
            for tensor, dtype, name in zip(flat, dtypes, names, strict=True)
        ],
    )


def _symbolic(shapes: Any, name: str | None = None) -> Any:
    if isinstance(shapes, Mapping):
        return {key: _symbolic(shape, key) for key, shape in shapes.items()}
    if all(isinstance(side, int | None) for side in shapes):
        return keras.Input(tuple(shapes[1:]), name=name)
    return [_symbolic(shape) for shape in shapes]


def _dtypes(model: keras.Model, inputs: Any) -> list[str]:
    """int32 for each input that the model itself turns into integers before anything else."""
    specs = [tf.TensorSpec((1, *t.shape[1:]), t.dtype) for t in keras.tree.flatten(inputs)]

    def call(*tensors: tf.Tensor) -> Any:
        return model(keras.tree.pack_sequence_as(inputs, list(tensors)), training=False)

    try:
        graph = tf.function(call, autograph=False).get_concrete_function(*specs).graph
    except (TypeError, ValueError):
        return ["float32"] * len(specs)
    return ["int32" if _is_read_as_integer(t) else "float32" for t in graph.inputs[: len(specs)]]


def _is_read_as_integer(tensor: tf.Tensor) -> bool:
    readers: Sequence[tf.Operation] = tensor.consumers()
    casts = [reader.outputs[0].dtype for reader in readers if reader.type == "Cast"]
    only_reads = all(reader.type in READS_INTEGERS for reader in readers)
    return only_reads and bool(casts) and all(dtype.is_integer for dtype in casts)
