"""The converted file made small: what a .tflite need not say, or need not say twice.

Unrolled time makes thousands of operators; a phone downloads each of them.
"""

from .compact import compact

__all__ = ["compact"]
