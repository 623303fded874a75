"""A cell unrolled over time, with its gradient (backpropagation through time) written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from .cells import Cell, Tensors

Run = tuple[tf.Tensor | None, Tensors]


class Recurrence(NamedTuple):
    """A cell with its weights: [1, features, gates] and [1, units, gates], biases of [gates]."""

    cell: Cell
    kernel: tf.Tensor
    bias: tf.Tensor | None
    recurrent: tf.Tensor
    recurrent_bias: tf.Tensor | None

    def projected(self, sequences: tf.Tensor) -> tf.Tensor:
        """What the input weights make of all steps in one product: [time, 1, examples, gates]."""
        time, _, examples, features = sequences.shape
        rows = tf.matmul(tf.reshape(sequences, (1, time * examples, features)), self.kernel)
        rows = rows if self.bias is None else rows + self.bias
        return tf.reshape(rows, (time, 1, examples, self.kernel.shape[-1]))


def unrolled(
    recurrence: Recurrence, sequences: tf.Tensor, start: Tensors, *, keeps_all: bool
) -> Run:
    """Runs over ``sequences``, [time, 1, examples, features], in their order.

    ``start`` is the first state, [1, examples, units] each. Returns the outputs of all steps,
    [time, 1, examples, units], or None unless ``keeps_all``, and the last state.
    """
    cell, offset = recurrence.cell, [recurrence.recurrent_bias]
    offset = [bias for bias in offset if bias is not None]

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def run(z: tf.Tensor, weights: tf.Tensor, *others: tf.Tensor) -> tuple[Tensors, _Gradient]:
        states, kept = _forward(cell, z, weights, others[: len(start)], others[len(start) :])
        hidden_states = [hidden for hidden, *_ in states]
        outputs = [tf.stack(hidden_states[1:])] if keeps_all else []

        def gradient(*upstream: tf.Tensor) -> Tensors:
            factors = cell.factors(tuple(tf.stack(part) for part in zip(*kept, strict=True)))
            above = tf.unstack(upstream[0]) if keeps_all else None
            products, hidden, first = _back_in_time(
                cell, factors, weights, above=above, last=upstream[len(outputs) :]
            )
            return (
                cell.input_gradient(factors, products, hidden),
                _outer(tf.stack(hidden_states[:-1]), products),
                *first,
                *[tf.reduce_sum(products, (0, 1, 2)) for _ in offset],
            )

        return (*outputs, *states[-1]), gradient

    results: Tensors = tuple(
        run(recurrence.projected(sequences), recurrence.recurrent, *start, *offset)
    )
    return (results[0], results[1:]) if keeps_all else (None, results)


_Gradient = Callable[..., Tensors]


def _forward(
    cell: Cell, projected: tf.Tensor, weights: tf.Tensor, state: Tensors, offset: Tensors
) -> tuple[list[Tensors], list[Tensors]]:
    """All states, the first one included, and what each step kept."""
    states, kept = [state], []
    for step in tf.unstack(projected):
        product = sum(offset, tf.matmul(state[0], weights))
        state, seen = cell.step(step, product, state)
        states.append(state)
        kept.append(seen)
    return states, kept


def _back_in_time(
    cell: Cell,
    factors: Tensors,
    weights: tf.Tensor,
    *,
    above: Sequence[tf.Tensor] | None,
    last: Tensors,
) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
    """Gradients of all products and hidden states, stacked, and of the first state.

    ``above`` are the gradients of the outputs, ``last`` those of the last state.
    """
    by_step = list(zip(*[tf.unstack(factor) for factor in factors], strict=True))
    turned = tf.transpose(weights, (0, 2, 1))
    products, hidden, gradients = [], [], last
    for step in reversed(range(len(by_step))):
        if above is not None:
            gradients = (gradients[0] + above[step], *gradients[1:])
        product, before = cell.back(by_step[step], gradients)
        products.append(product)
        hidden.append(gradients[0])
        through = tf.matmul(product, turned)
        gradients = (through if before[0] is None else before[0] + through, *before[1:])
    return tf.stack(products[::-1]), tf.stack(hidden[::-1]), gradients


def _outer(states: tf.Tensor, products: tf.Tensor) -> tf.Tensor:
    """The gradient of the recurrent weights, all steps in one product: [1, units, gates]."""
    rows = tf.reshape(states, (1, -1, states.shape[-1]))
    columns = tf.reshape(products, (1, -1, products.shape[-1]))
    return tf.matmul(tf.transpose(rows, (0, 2, 1)), columns)
