"""Centralised SGD: what one machine with everybody's examples needs, in updates of B=100.

The paper trains this way for comparison on CIFAR-10, with B=100 (arXiv 1602.05629, table 3); here
it is done for MNIST. One update of it, like one round of FedSGD, is one step of the shared model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..cli.simulating.trainers import GRAPH, trainers_of
from ..device_sim.baselines import train_centralised
from ..device_sim.data.dataset import Dataset
from ..device_sim.report.baselines import BaselinePoint
from ..protocol.artifact import Artifact
from ..protocol.plan import Plan
from .setups import Setup

BATCH = 100
_MEASURED = 50


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """SGD on all examples of a setup; its rounds are updates.

    The search for the learning rate begins at 10 ** (``start`` / 3).
    """

    setup: Setup
    target: float
    most_rounds: int
    start: int = -3
    batch_size: int = BATCH

    @property
    def name(self) -> str:
        """Names the folder of its results."""
        return f"{self.setup.name}-sgd-B{self.batch_size}"

    def curve(
        self, artifact: Artifact, dataset: Dataset, *, learning_rate: float, rounds: int, seed: int
    ) -> Iterator[BaselinePoint]:
        """Trains for so many updates or until the target, and measures at most fifty times."""
        trainer = trainers_of(GRAPH, artifact)(artifact.model, artifact.manifest)
        every = max(1, rounds // _MEASURED)
        points = train_centralised(
            trainer,
            artifact.checkpoint,
            dataset.train,
            test=dataset.test,
            plan=Plan(batch_size=self.batch_size, learning_rate=learning_rate),
            budget=[(at, at * self.batch_size) for at in range(0, rounds + 1, every)],
            seed=seed,
        )
        for point in points:
            yield point
            if point.accuracy >= self.target:
                return
