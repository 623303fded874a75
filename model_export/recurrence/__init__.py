"""Recurrent layers without a loop, as a phone trains them.

A phone's runtime has no lists that grow in a loop, and copies every tensor that a loop carries; so
time is unrolled. Keras's own cells are unrolled by hand (``cells``, ``unrolling``): their inputs
are projected for all steps in one product before the first step, and all that a gradient needs
besides the chain of hidden states is computed for all steps at once. Every other cell, and every
masked sequence, is unrolled by Keras itself.
"""

from .layers import loops_unrolled

__all__ = ["loops_unrolled"]
