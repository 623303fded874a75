"""Recurrent cells, forward and backward, once their inputs are projected.

Every gradient that a cell passes back in time is linear in the gradient of its state. What it is
multiplied with depends on the forward pass alone, so it is computed for all steps at once
(``factors``), and a step back costs a few multiplications beside its product.

Tensors of one step are [1, examples, n]; stacked ones have time as their first side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

Tensors = tuple[tf.Tensor, ...]
LAST = -1


class Activation(NamedTuple):
    """A function, and its derivative in terms of its value."""

    value: Callable[[tf.Tensor], tf.Tensor]
    slope: Callable[[tf.Tensor], tf.Tensor]


ACTIVATIONS: Mapping[str, Activation] = {
    "relu": Activation(tf.nn.relu, lambda value: tf.cast(value > 0, value.dtype)),
    "sigmoid": Activation(tf.sigmoid, lambda value: value * (1 - value)),
    "tanh": Activation(tf.tanh, lambda value: 1 - value * value),
}


class Cell(NamedTuple):
    """A recurrent cell; its state begins with the hidden one, which is also its output.

    ``step(projected, product, state)`` -> (state, kept): ``product`` is what the recurrent weights
    make of the hidden state. ``factors(kept)``: from what all steps kept, stacked, to what
    ``back`` and ``input_gradient`` multiply with.
    ``back(factors, gradients)`` -> (gradient of the product, gradients of the state before, without
    what comes through the product, None where that is all).
    ``input_gradient(factors, product_gradients, hidden_gradients)``: of the projected inputs, from
    stacked tensors.
    """

    step: Callable[[tf.Tensor, tf.Tensor, Tensors], tuple[Tensors, Tensors]]
    factors: Callable[[Tensors], Tensors]
    back: Callable[[Sequence[tf.Tensor], Tensors], tuple[tf.Tensor, tuple[tf.Tensor | None, ...]]]
    input_gradient: Callable[[Tensors, tf.Tensor, tf.Tensor], tf.Tensor]


def simple_rnn(activation: Activation) -> Cell:
    """Elman's cell: h' = a(z + p)."""

    def step(z: tf.Tensor, p: tf.Tensor, _: Tensors) -> tuple[Tensors, Tensors]:
        h = activation.value(z + p)
        return (h,), (h,)

    def factors(kept: Tensors) -> Tensors:
        return (activation.slope(kept[0]),)

    def back(factors: Sequence[tf.Tensor], gradients: Tensors) -> tuple[tf.Tensor, tuple[None]]:
        return gradients[0] * factors[0], (None,)

    return Cell(step, factors, back, _same_for_inputs)


def lstm(activation: Activation, gate: Activation) -> Cell:
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with forget gates).

    Gates in Keras's order: input, forget, candidate, output.
    """

    def step(z: tf.Tensor, p: tf.Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        i, f, g, o = tf.split(z + p, 4, LAST)
        i, f, g, o = gate.value(i), gate.value(f), activation.value(g), gate.value(o)
        c = f * state[1] + i * g
        shown = activation.value(c)
        return (o * shown, c), (i, f, g, o, shown, state[1])

    def factors(kept: Tensors) -> Tensors:
        i, f, g, o, shown, before = kept
        of_gates = (
            g * gate.slope(i),
            before * gate.slope(f),
            i * activation.slope(g),
            shown * gate.slope(o),
        )
        return o * activation.slope(shown), f, tf.concat(of_gates, LAST)

    def back(
        factors: Sequence[tf.Tensor], gradients: Tensors
    ) -> tuple[tf.Tensor, tuple[None, tf.Tensor]]:
        to_memory, forgotten, of_gates = factors
        dh, dc = gradients
        dc = dc + dh * to_memory
        return tf.concat((dc, dc, dc, dh), LAST) * of_gates, (None, dc * forgotten)

    return Cell(step, factors, back, _same_for_inputs)


def gru(activation: Activation, gate: Activation) -> Cell:
    """Gated recurrent unit with the reset gate after the product (Cho et al. 2014, in v3).

    Gates in Keras's order: update, reset, candidate.
    """

    def step(z: tf.Tensor, p: tf.Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        (h,) = state
        z_update, z_reset, z_new = tf.split(z, 3, LAST)
        p_update, p_reset, p_new = tf.split(p, 3, LAST)
        update, reset = gate.value(z_update + p_update), gate.value(z_reset + p_reset)
        new = activation.value(z_new + reset * p_new)
        return (update * h + (1 - update) * new,), (update, reset, new, p_new, h)

    def factors(kept: Tensors) -> Tensors:
        update, reset, new, p_new, before = kept
        of_new = (1 - update) * activation.slope(new)
        of_update = (before - new) * gate.slope(update)
        of_reset = of_new * p_new * gate.slope(reset)
        of_product = tf.concat((of_update, of_reset, of_new * reset), LAST)
        return update, of_product, of_new

    def back(
        factors: Sequence[tf.Tensor], gradients: Tensors
    ) -> tuple[tf.Tensor, tuple[tf.Tensor]]:
        update, of_product, _ = factors
        (dh,) = gradients
        return tf.concat((dh, dh, dh), LAST) * of_product, (dh * update,)

    def input_gradient(factors: Tensors, products: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
        of_update, of_reset, _ = tf.split(products, 3, LAST)
        return tf.concat((of_update, of_reset, hidden * factors[2]), LAST)

    return Cell(step, factors, back, input_gradient)


def _same_for_inputs(_: Tensors, products: tf.Tensor, __: tf.Tensor) -> tf.Tensor:
    """Where inputs and product are only ever added, they have the same gradient."""
    return products
