"""Surroundings: what all phones of a fleet share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..workers import Workers
from .encoding import Debts
from .retrying import RetryPolicy
from .sessions import SessionRecord
from .shelf import Shelf


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """A population to serve, a clock, those who train, and what phones share to save memory."""

    population: str
    retry: RetryPolicy
    clock: Callable[[], float]
    workers: Workers
    shelf: Shelf
    debts: Debts
    observe: Callable[[SessionRecord], None]
