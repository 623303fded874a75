"""What a codec is: a name and three pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..container import Buffer
from ..weights import Vector, Weights, WeightSpec


class Codec(NamedTuple):
    """An encoding of deltas.

    ``encode`` rounds at random with its generator, without bias, or to nearest when that is None;
    it raises NonFiniteDelta for NaN and infinities. ``decode`` gives the same finite vector for the
    same body on every machine; it raises TruncatedBody or PayloadTooLarge for a length that is off,
    SpecMismatch for a foreign header, InvalidEncoding for data this codec never makes, and
    NonFiniteDelta. ``max_bytes`` is the length of the longest body; ``is_exact`` claims that every
    body has it. ``leaves_out`` claims that a body lacks elements, which a device that remembers
    them adds to its next delta.
    """

    name: str
    encode: Callable[[Weights, np.random.Generator | None], bytes]
    decode: Callable[[Buffer, WeightSpec], Vector]
    max_bytes: Callable[[WeightSpec], int]
    is_exact: bool = True
    leaves_out: bool = False
