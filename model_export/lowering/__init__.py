"""Lowering: every op a phone lacks, written in ops it has.

A lowering is a function ``(op, *inputs) -> output`` (or a sequence of outputs) that is registered
under its op type. ``op`` is the traced original, for its attributes and static shapes.

``TABLE`` holds them all; ``lowered`` applies a table to a traced function, and ``seeded`` does so
to one that draws random numbers (``is_random``). ``VERBATIM`` keeps loops and branches, for a
function that TensorFlow itself runs.
"""

from . import activations, conv, dense, depthwise, erf, plain, pool, random, resize, slices
from .random import is_random, seeded
from .refusal import NotLowered
from .rewrite import VERBATIM, Lowering, lowered

TABLE: dict[str, Lowering] = {
    **activations.LOWERINGS,
    **conv.LOWERINGS,
    **dense.LOWERINGS,
    **depthwise.LOWERINGS,
    **erf.LOWERINGS,
    **plain.LOWERINGS,
    **pool.LOWERINGS,
    **random.LOWERINGS,
    **resize.LOWERINGS,
    **slices.LOWERINGS,
}

__all__ = ["TABLE", "VERBATIM", "Lowering", "NotLowered", "is_random", "lowered", "seeded"]
