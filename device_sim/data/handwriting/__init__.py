"""Handwritten digits, generated: every phone is a writer of its own, and nothing is stored.

A writer's hand (``writers``) bends the skeletons of the digits (``strokes``), and a pen draws them
(``drawing``).
"""

from .collection import HANDWRITING, Handwriting

__all__ = ["HANDWRITING", "Handwriting"]
