"""Compacting: the same .tflite in fewer bytes.

Each step takes the parsed model and changes it in place; none changes what a signature computes.
"""

from __future__ import annotations

from typing import Any

from . import halves, outputs, sharing, turning, zeros
from .flatbuffer import packed, parsed

__all__ = ["compact", "compacted"]


def compacted(model: bytes, *, in_halves: bool = False) -> bytes:
    """The bytes of a model after ``compact``."""
    root = parsed(model)
    compact(root, in_halves=in_halves)
    return packed(root)


def compact(root: Any, *, in_halves: bool = False) -> None:
    """Stores no zeros, what is equal or turned round only once, and no inner names.

    Every output becomes a tensor of its own.

    ``in_halves`` also stores each constant that float16 holds to the bit as float16.
    """
    outputs.separate(root)
    zeros.fill(root)
    turning.turn(root)
    if in_halves:
        halves.store(root)
    sharing.share(root)
