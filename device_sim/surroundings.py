"""Surroundings: what all phones of a fleet share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .retrying import RetryPolicy
from .sessions import SessionRecord
from .shelf import Shelf
from .trainers import TrainerPool


@dataclass(frozen=True)
class Surroundings:
    """A population's name, the manner of retrying, a clock, trainers, models, and who listens."""

    population: str
    retry: RetryPolicy
    clock: Callable[[], float]
    trainers: TrainerPool
    shelf: Shelf
    observe: Callable[[SessionRecord], None]
