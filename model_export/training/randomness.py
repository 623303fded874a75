"""Keras's random seeds, which play no part on a phone: its steps are given theirs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

SEED = tf.TensorSpec((), tf.int32, name="seed")
_NEXT = keras.random.SeedGenerator.next


@contextmanager
def seeds_left_alone() -> Iterator[None]:
    """Meanwhile a step that is traced neither reads nor moves on the state of a seed generator."""
    keras.random.SeedGenerator.next = _no_seed
    try:
        yield
    finally:
        keras.random.SeedGenerator.next = _NEXT


def _no_seed(generator: keras.random.SeedGenerator, ordered: bool = True) -> tf.Tensor:
    return tf.zeros((2,), generator.state.dtype)
