"""The length of a vector, to the same bit wherever it is computed."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...protocol.weights import Vector

BLOCK = 65_536


def l2_norm(vector: npt.NDArray[np.floating]) -> float:
    """The L2 norm in float64; infinite when it overflows.

    Squares are summed pairwise within fixed blocks, and the blocks by ``math.fsum``: a BLAS product
    would depend on the processor and its number of threads.
    """
    sums = [_squared(vector[start : start + BLOCK]) for start in range(0, vector.size, BLOCK)]
    return math.sqrt(math.fsum(sums)) if all(map(math.isfinite, sums)) else math.inf


def clip(delta: Vector, *, max_norm: float) -> Vector:
    """A delta no longer than ``max_norm``, up to the rounding of its elements to float32."""
    norm = l2_norm(delta)
    if norm <= max_norm:
        return delta
    clipped = np.empty_like(delta)
    np.multiply(delta, max_norm / norm, out=clipped, dtype=np.float64, casting="same_kind")
    return clipped


def _squared(block: npt.NDArray[np.floating]) -> float:
    squares = block.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        squares *= squares
        return float(squares.sum())
