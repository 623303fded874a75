"""A cell in a loop of short unrolled stretches, for signatures that need no gradient.

A phone's runtime copies all that a loop carries, each time round: sequences, outputs and weights.
So a round takes ``STRETCH`` steps at once, which also lets it project their inputs together.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from .cells import Tensors
from .unrolling import Recurrence, Run, unrolled

STRETCH = 10


def looped(recurrence: Recurrence, sequences: tf.Tensor, start: Tensors, *, keeps_all: bool) -> Run:
    """As ``unrolled``, without a gradient; what is left after the last round is unrolled."""
    rounds = sequences.shape[0] // STRETCH
    if rounds < 2:
        return unrolled(recurrence, sequences, start, keeps_all=keeps_all)
    outputs, state = _rounds(recurrence, sequences, start, rounds=rounds, keeps_all=keeps_all)
    rest = sequences[rounds * STRETCH :]
    if not rest.shape[0]:
        return outputs, state
    others, state = unrolled(recurrence, rest, state, keeps_all=keeps_all)
    return (tf.concat((outputs, others), 0) if keeps_all else None), state


def _rounds(
    recurrence: Recurrence, sequences: tf.Tensor, start: Tensors, *, rounds: int, keeps_all: bool
) -> Run:
    _, *example = sequences.shape
    units = recurrence.recurrent.shape[1]
    outputs = [tf.zeros((rounds, STRETCH, *example[:-1], units))] if keeps_all else []

    def go_on(index: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return index < rounds

    def go_round(index: tf.Tensor, *carried: tf.Tensor) -> Tensors:
        stretch = tf.slice(sequences, (index * STRETCH, 0, 0, 0), (STRETCH, *example))
        state = carried[len(outputs) :]
        found, state = unrolled(recurrence, stretch, state, keeps_all=keeps_all)
        written = [_put(done, found, index) for done in carried[: len(outputs)]]
        return (index + 1, *written, *state)

    _, *carried = tf.while_loop(go_on, go_round, (tf.constant(0), *outputs, *start))
    state = tuple(carried[len(outputs) :])
    if not keeps_all:
        return None, state
    return tf.reshape(carried[0], (rounds * STRETCH, *example[:-1], units)), state


def _put(rounds: tf.Tensor, found: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """``rounds`` with ``found`` at ``index``."""
    at = tf.stack([index, *[0] * (rounds.shape.rank - 1)])
    written: tf.Tensor = keras.ops.slice_update(rounds, at, found[None])
    return written
