"""Low-rank adaptation (arXiv 2106.09685) as Keras has it: two small factors beside a kernel."""

from __future__ import annotations

import math

import keras

from ...protocol.errors import ExportError, first_line

KERNELS = ("kernel", "embeddings")
FACTORS = tuple(f"lora_{kernel}_{side}" for kernel in KERNELS for side in "ab")


def adapted(model: keras.Model, *, rank: int, seed: int) -> keras.Model:
    """A copy of ``model`` with factors of ``rank`` on every layer that takes them.

    One factor is drawn from ``seed``, the other zero, so the copy computes what the model does.
    Raises ExportError when no layer takes them, when all kernels have a lower rank, and when the
    model cannot be copied.
    """
    copy = _copied(model)
    layers = [layer for layer in copy._flatten_layers() if hasattr(layer, "enable_lora")]
    if not layers:
        raise ExportError(
            f"{model.name} has no layer that takes lora:{rank}, such as Dense, EinsumDense, "
            "Embedding or a convolution; choose another scope"
        )
    highest = max(_rank_of(layer) for layer in layers)
    if rank > highest:
        raise ExportError(
            f"got lora:{rank}, but no kernel of {model.name} has a rank above {highest}; "
            f"expected lora:1 to lora:{highest}"
        )
    for number, layer in enumerate(layers):
        _adapt(layer, rank=rank, seed=seed + number)
    return copy


def factors(copy: keras.Model) -> list[keras.Variable]:
    """The variables that ``adapted`` has added."""
    return [variable for variable in copy.variables if variable.name in FACTORS]


def merge(copy: keras.Model, model: keras.Model) -> None:
    """Sets each kernel of ``model`` to that of its adapted ``copy``, the factors added in."""
    for ours, theirs in zip(copy._flatten_layers(), model._flatten_layers(), strict=True):
        if getattr(ours, "lora_enabled", False):
            name = _kernel_name(theirs)
            getattr(theirs, name).assign(getattr(ours, name))


def _copied(model: keras.Model) -> keras.Model:
    try:
        copy = keras.models.clone_model(model)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ExportError(
            f"{model.name} cannot be copied, which lora needs ({first_line(error)}); give its "
            "layers a get_config, or choose another scope"
        ) from error
    ours, theirs = ({v.path: v for v in each.variables} for each in (copy, model))
    if ours.keys() != theirs.keys():
        odd = min(ours.keys() ^ theirs.keys())
        raise ExportError(f"a copy of {model.name} has not the same weights, such as {odd}")
    for path, variable in ours.items():
        variable.assign(theirs[path])
    return copy


def _adapt(layer: keras.layers.Layer, *, rank: int, seed: int) -> None:
    try:
        layer.enable_lora(rank, a_initializer=keras.initializers.HeUniform(seed=seed))
    except ValueError as error:
        raise ExportError(f"{layer.path} does not take lora:{rank}: {error}") from error


def _rank_of(layer: keras.layers.Layer) -> int:
    """The highest rank that the kernel, as a matrix, can have."""
    shape = getattr(layer, _kernel_name(layer)).shape
    return int(min(math.prod(shape[:-1]), shape[-1]))


def _kernel_name(layer: keras.layers.Layer) -> str:
    return next(name for name in KERNELS if hasattr(layer, name))
