"""Which recurrent layer is unrolled how, while a model is traced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from .cells import ACTIVATIONS, Cell, gru, lstm, simple_rnn
from .looping import looped
from .unrolling import Recurrence, Run, unrolled

layers = keras.layers
Loop = tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]
PLAIN = (layers.RNN, layers.SimpleRNN, layers.LSTM, layers.GRU)


@contextmanager
def loops_unrolled(model: keras.Model, *, trains: bool) -> Iterator[None]:
    """Meanwhile no recurrent layer of the model, wrapped or not, runs Keras's loop.

    Unless it ``trains``, a long sequence is still worked off in a loop, one that cannot be derived.
    """
    run = unrolled if trains else looped
    found = [layer for layer in model._flatten_layers() if isinstance(layer, layers.RNN)]
    were_unrolled = [layer.unroll for layer in found]
    try:
        for layer in found:
            vars(layer).update(unroll=True, inner_loop=partial(_inner_loop, layer, run))
        yield
    finally:
        for layer, was_unrolled in zip(found, were_unrolled, strict=True):
            vars(layer).update(unroll=was_unrolled)
            vars(layer).pop("inner_loop", None)


def _inner_loop(
    layer: keras.layers.RNN,
    run: Callable[..., Run],
    sequences: tf.Tensor,
    initial_state: list[tf.Tensor],
    mask: tf.Tensor | None,
    training: bool = False,
) -> Loop:
    """Stands in for ``RNN.inner_loop``: the last output, all outputs, the last state."""
    if layer.go_backwards:
        sequences = tf.reverse(sequences, (1,))
        mask = mask if mask is None else tf.reverse(mask, (1,))
    recurrence = _recurrence_of(layer, drops=bool(training)) if mask is None else None
    if recurrence is None:
        return _by_keras(layer, sequences, initial_state, mask, training)
    steps = tf.transpose(sequences, (1, 0, 2))[:, None]
    start = tuple(part[None] for part in initial_state)
    outputs, state = run(recurrence, steps, start, keeps_all=layer.return_sequences)
    last = [part[0] for part in state]
    if outputs is None:
        return last[0], last[0][:, None], last
    return last[0], tf.transpose(outputs[:, 0], (1, 0, 2)), last


def _by_keras(layer: keras.layers.RNN, *arguments: Any) -> Loop:
    """Keras's own unrolling, forwards: backwards it zeroes outputs by the mask of other steps."""
    is_backwards = layer.go_backwards
    layer.go_backwards = False
    try:
        loop: Loop = type(layer).inner_loop(layer, *arguments)
        return loop
    finally:
        layer.go_backwards = is_backwards


def _recurrence_of(layer: keras.layers.RNN, *, drops: bool) -> Recurrence | None:
    """The cell by hand with the layer's weights, None where there is none for its options."""
    cell = _cell_of(layer, drops=drops)
    if cell is None:
        return None
    bias, recurrent_bias = _biases(layer.cell)
    kernel, recurrent = layer.cell.kernel.value, layer.cell.recurrent_kernel.value
    return Recurrence(cell, kernel[None], bias, recurrent[None], recurrent_bias)


def _cell_of(layer: keras.layers.RNN, *, drops: bool) -> Cell | None:
    cell = layer.cell
    is_known = type(layer) in PLAIN and type(cell) in CELLS
    if not is_known or (drops and (cell.dropout or cell.recurrent_dropout)):
        return None
    activations = [ACTIVATIONS.get(function.__name__) for function in _functions(cell)]
    if None in activations or not getattr(cell, "reset_after", True):
        return None
    return CELLS[type(cell)](*activations)


def _functions(cell: Any) -> list[Callable[[tf.Tensor], tf.Tensor]]:
    names = ("activation", "recurrent_activation")
    return [getattr(cell, name) for name in names if hasattr(cell, name)]


def _biases(cell: Any) -> tuple[tf.Tensor | None, tf.Tensor | None]:
    """Of the projection and of the recurrent product; only a GRU has the second."""
    if cell.bias is None:
        return None, None
    bias = tf.convert_to_tensor(cell.bias.value)
    return (bias[0], bias[1]) if bias.shape.rank > 1 else (bias, None)


CELLS: Mapping[type, Callable[..., Cell]] = {
    layers.SimpleRNNCell: simple_rnn,
    layers.LSTMCell: lstm,
    layers.GRUCell: gru,
}
