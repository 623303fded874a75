"""Conditions: when the phones of a fleet are there, how fast, how reliable, and how unruly."""

from .draws import arrivals_s, evaluation_stream, retry_stream, rounding_stream, shuffle_stream
from .of_phone import BELIEVABLE, Conditions, PhoneConditions, on_a_real_clock
from .places import Place

__all__ = [
    "BELIEVABLE",
    "Conditions",
    "PhoneConditions",
    "Place",
    "arrivals_s",
    "evaluation_stream",
    "on_a_real_clock",
    "retry_stream",
    "rounding_stream",
    "shuffle_stream",
]
