"""Server optimizers turn a checkpoint and a round's update into the next checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..protocol.weights import Vector
from .aggregators import Update


class ServerOptimizer(NamedTuple):
    """One pure function, (checkpoint, update) -> checkpoint, that keeps nothing between rounds."""

    step: Callable[[Vector, Update], Vector]


def sgd(learning_rate: float) -> ServerOptimizer:
    """Adds ``learning_rate`` times the update; 1.0 is federated averaging.

    The step is taken in float64 and rounded once. An overflow shows as a non-finite element.
    """

    def step(checkpoint: Vector, update: Update) -> Vector:
        with np.errstate(over="ignore", invalid="ignore"):
            return (checkpoint + learning_rate * update).astype(np.float32)

    return ServerOptimizer(step)
