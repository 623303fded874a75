"""Scopes: which weights train, by presets; the caller's model is left as it was.

``full``: what the model's own flags say. ``bn_frozen``: the same, with batch normalization as in
inference. ``last:K``: the last K layers that have weights. ``head``: ``last:1``. ``bias``: what is
added (bias, beta), and the head. ``lora:R``: factors of rank R, beside kernels that stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import keras

from ...protocol.errors import ExportError
from .inspection import leaves
from .lora import adapted, factors

PRESETS = "full, bn_frozen, last:K, head, bias or lora:R"
ADDITIVE = frozenset({"bias", "beta"})
Scope = AbstractContextManager[keras.Model]


def scoped(model: keras.Model, trainable: str, *, seed: int) -> Scope:
    """Lends a model of which only what the preset ``trainable`` names trains.

    It is ``model`` itself, whose flags are given back; for ``lora:R`` a copy, whose factors are
    drawn from ``seed``. Raises ExportError for another preset, or one that does not fit.
    """
    preset, _, number = trainable.partition(":")
    if preset == "lora" and number:
        return nullcontext(_train_factors(model, _positive(trainable, number), seed))
    if preset == "last" and number:
        return _flagged(model, lambda: _train_last(model, _positive(trainable, number)))
    if trainable in FLAGGED:
        return _flagged(model, lambda: FLAGGED[trainable](model))
    raise ExportError(f"got trainable={trainable!r}, expected {PRESETS}")


@contextmanager
def _flagged(model: keras.Model, change: Callable[[], None]) -> Iterator[keras.Model]:
    layers = [(layer, layer.trainable) for layer in model._flatten_layers()]
    variables = [(variable, variable.trainable) for variable in model.variables]
    try:
        change()
        yield model
    finally:
        # A layer's flag sets those of all it holds, so the outer ones go first.
        for layer, flag in layers:
            layer.trainable = flag
        for variable, flag in variables:
            variable.trainable = flag


def _keep(_: keras.Model) -> None:
    pass


def _freeze_normalization(model: keras.Model) -> None:
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def _train_last(model: keras.Model, count: int) -> None:
    weighted = _opened(model)
    if count > len(weighted):
        raise ExportError(
            f"got last:{count}, but {model.name} has {len(weighted)} layers with weights; "
            f"expected last:1 to last:{len(weighted)}"
        )
    chosen = weighted[-count:]
    for layer in weighted[:-count]:
        layer.trainable = False
    _train_only(model, (variable for layer in chosen for variable in layer.trainable_variables))


def _train_bias(model: keras.Model) -> None:
    weighted = _opened(model)
    _freeze_normalization(model)
    additive = [variable for variable in model.variables if variable.name in ADDITIVE]
    head = weighted[-1]
    head.trainable = True
    _train_only(model, [*additive, *head.trainable_variables])


def _train_factors(model: keras.Model, rank: int, seed: int) -> keras.Model:
    copy = adapted(model, rank=rank, seed=seed)
    copy.trainable = True
    _freeze_normalization(copy)
    _train_only(copy, factors(copy))
    return copy


def _opened(model: keras.Model) -> list[keras.layers.Layer]:
    """Lets everything train; the layers that then have something to train, in order."""
    model.trainable = True
    reached = {id(layer): layer for layer in leaves(model)}.values()
    weighted = [layer for layer in reached if layer.trainable_variables]
    if not weighted:
        raise ExportError(f"{model.name} has no layers with weights to train")
    return weighted


def _train_only(model: keras.Model, chosen: Iterable[keras.Variable]) -> None:
    kept = {id(variable) for variable in chosen}
    for variable in model.variables:
        variable.trainable = id(variable) in kept


def _positive(trainable: str, number: str) -> int:
    if not (number.isascii() and number.isdigit() and int(number) >= 1):
        raise ExportError(f"got trainable={trainable!r}, expected a number from 1 on after the :")
    return int(number)


FLAGGED: Mapping[str, Callable[[keras.Model], None]] = {
    "full": _keep,
    "bn_frozen": _freeze_normalization,
    "head": lambda model: _train_last(model, 1),
    "bias": _train_bias,
}
