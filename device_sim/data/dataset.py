"""A data set: examples to train on and to test with, and, for some, who owns them by nature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..ownership import Ownership
from .examples import Examples

# (phones or None for as many as there are, seed) -> who owns what
Natural = Callable[[int | None, int], Ownership]


@dataclass(frozen=True)
class Dataset:
    """Examples to train on and to test with; ``origin`` says where they came from this time.

    ``natural`` gives the owners that the data set itself knows, such as writers or roles.
    """

    name: str
    origin: str
    train: Examples
    test: Examples
    natural: Natural | None = None
