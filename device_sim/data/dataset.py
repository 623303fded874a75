"""A data set: examples to train on and to test with, and, for some, who owns them by nature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..ownership import Ownership
from ..streams import Purpose, stream
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

    def tested_on(self, count: int) -> Dataset:
        """The same, with at most ``count`` of its test examples, the same ones in every run."""
        if count >= len(self.test):
            return self
        chosen = stream(0, Purpose.TESTED).permutation(len(self.test))[:count]
        return replace(self, test=self.test.take(np.sort(chosen)))
