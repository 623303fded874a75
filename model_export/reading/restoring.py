"""The way back: a checkpoint of a task goes into the Keras model it was exported from."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from ...protocol.errors import ExportError
from ...protocol.weights import Vector, Weights
from .inspection import float_variables
from .lora import FACTORS, adapted, merge

Arrays = Mapping[str, Vector]


def restore(model: keras.Model, checkpoint: Weights | bytes) -> None:
    """Sets the weights of ``model`` that the checkpoint names, by Keras path.

    Factors of ``lora:R`` are added into their kernels; what was frozen stays as it is. Raises
    ExportError, with the first path that does not fit, and then changes nothing.
    """
    arrays = _arrays_of(checkpoint)
    rank = _rank_of(arrays)
    if rank is None:
        _assign(model, arrays)
        return
    copy = adapted(model, rank=rank, seed=0)
    _assign(copy, arrays)
    merge(copy, model)


def _arrays_of(checkpoint: Weights | bytes) -> Arrays:
    if isinstance(checkpoint, Weights):
        return {entry.name: checkpoint[entry.name] for entry in checkpoint.spec.entries}
    try:
        return dict(load(checkpoint))
    except SafetensorError as error:
        raise ExportError(
            f"the checkpoint is no safetensors file ({error}); download it again"
        ) from error


def _rank_of(arrays: Arrays) -> int | None:
    """The rank of the factors among the weights, if there are any."""
    for path, array in arrays.items():
        if path.rpartition("/")[2] in FACTORS and path.endswith("_a"):
            return int(array.shape[-1])
    return None


def _assign(model: keras.Model, arrays: Arrays) -> None:
    variables = _variables_of(model)
    for path, array in arrays.items():
        if path not in variables:
            raise ExportError(
                f"{model.name} has no weight {path}; restore the model that was exported"
            )
        wanted = tuple(variables[path].shape)
        if array.shape != wanted or array.dtype != np.float32:
            raise ExportError(
                f"{path} has shape {array.shape} and {array.dtype} in the checkpoint, but "
                f"{wanted} and float32 in {model.name}; restore the model that was exported"
            )
    for path, array in arrays.items():
        variables[path].assign(array)


def _variables_of(model: keras.Model) -> Mapping[str, keras.Variable]:
    """By path, with and without the model's name: Keras drops it when it loads a Sequential."""
    exact = {variable.path: variable for variable in float_variables(model)}
    prefix = f"{model.name}/"
    longer = {prefix + path: variable for path, variable in exact.items()}
    shorter = {path.removeprefix(prefix): variable for path, variable in exact.items()}
    return {**longer, **shorter, **exact}
