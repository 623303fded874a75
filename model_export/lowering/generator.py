"""A random generator without state, in ops that every trainable model needs anyway.

A number is a hash of the seed, of which draw of the step it belongs to, of its row and of its place
in the row. So a row's numbers depend neither on how many rows there are, nor on threads, nor on
what was drawn before.

The hash is made of int32 MUL and ADD, which wrap around, and of casts through float32 that bring
the high bits down. BITWISE_XOR and RIGHT_SHIFT would do, but their kernels take three times as
long, and they came with TFLite 2.13; variables came with 2.6.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Integers = npt.NDArray[np.int32]
# What one more of each adds to the hash's input: odd numbers, unlike one another.
PER_SEED, PER_DRAW, PER_ROW, PER_LINE, PER_COLUMN = (
    0x632BE5AB,
    0x7A1E3D4F,
    0x5851F42D,
    0x1B873593,
    0x3C6EF373,
)
ROUNDS = ((0x9E3779B9, 0x85EBCA6B), (0xC2B2AE35, 0x27D4EB2F), (0x165667B1, 0xD3A2646D))
HALF_DOWN, TO_UNIT = np.float32(2.0**-16), np.float32(2.0**-32)
LARGEST = np.float32(1 - 2.0**-24)


def uniform(seed: tf.Tensor, *, draw: int, rows: int | tf.Tensor, columns: int) -> tf.Tensor:
    """Numbers of [0, 1), shape [rows, columns]; ``seed`` is a scalar int32.

    A row is hashed by lines of about the square root of its length, so that the constants stay
    small in the file.
    """
    lines = columns // _line(columns)
    start = seed * _wrapped(PER_SEED) + _wrapped(PER_DRAW * draw)
    by_line = start + _steps(rows, PER_ROW)[:, None] + _steps(lines, PER_LINE)[None]
    by_line = tf.reshape(_mixed(by_line), (-1, 1))
    mixed = _mixed(by_line + _steps(columns // lines, PER_COLUMN)[None])
    numbers = tf.cast(mixed, tf.float32) * TO_UNIT + np.float32(0.5)
    # Casting the highest integers rounds them up, which would make a 1.
    return tf.reshape(tf.minimum(numbers, LARGEST), (-1, columns))


def normal(seed: tf.Tensor, *, draw: int, rows: int | tf.Tensor, columns: int) -> tf.Tensor:
    """Standard normal numbers, shape [rows, columns]; two uniform ones each (Box, Muller 1958)."""
    pairs = tf.reshape(uniform(seed, draw=draw, rows=rows, columns=2 * columns), (-1, 2, columns))
    radius, angle = tf.unstack(pairs, axis=1)
    return tf.sqrt(-2 * tf.math.log(1 - radius)) * tf.cos(2 * math.pi * angle)


def _mixed(x: tf.Tensor) -> tf.Tensor:
    """Each round multiplies the whole word by its own upper half, both moved by odd numbers."""
    for whole, half in ROUNDS:
        upper = tf.cast(tf.cast(x, tf.float32) * HALF_DOWN, tf.int32)
        x = (x + _wrapped(whole)) * (upper + _wrapped(half))
    return x


def _steps(count: int | tf.Tensor, size: int) -> tf.Tensor | Integers:
    if isinstance(count, int):
        return np.array([_wrapped(size * index) for index in range(count)], np.int32)
    return tf.range(count) * _wrapped(size)


def _line(columns: int) -> int:
    """The smallest divisor of ``columns`` from its square root on."""
    return next(
        size for size in range(math.isqrt(columns - 1) + 1, columns + 1) if columns % size == 0
    )


def _wrapped(number: int) -> int:
    """The int32 that is equal to ``number`` modulo 2^32."""
    return (number + 2**31) % 2**32 - 2**31
