"""A cell: one entry of a table of arXiv 1602.05629, as a simulation that can be run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..cli.simulating.scenario import Scenario
from ..cli.simulating.trainers import GRAPH
from ..device_sim.baselines import FullBatchTrainers
from ..device_sim.conditions import Conditions
from ..device_sim.data.dataset import Dataset
from ..device_sim.training.trainers import NewTrainer
from ..protocol.codecs import FLOAT32
from ..protocol.plan import Plan, RetryWindow, RoundSettings
from .setups import Setup

TEST, TRAIN = "test", "train"
# Of so many training examples at most the loss is measured.
_MEASURED = 10_000
# A client that was turned away comes back at a uniform instant of this window.
_RETRY = RetryWindow(min_s=60.0, max_s=300.0)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a table says of one setting of FederatedAveraging, and how it is run here.

    ``fraction`` is C, ``epochs`` E, and ``batch`` B, None for infinite: all examples in one batch.
    ``paper_rounds`` are those to ``target`` accuracy in the paper, None where it has none; without
    a target all rounds are run. ``measures`` says on which examples a checkpoint is measured. The
    search for the learning rate begins at 10 ** (``start`` / 3). Of ``measure_every`` rounds one is
    measured. ``codec`` is how deltas are sent.
    """

    setup: Setup
    partition: str
    fraction: float
    epochs: int
    batch: int | None
    target: float | None
    paper_rounds: int | None
    most_rounds: int
    start: int = -3
    measure_every: int = 1
    codec: str = FLOAT32
    measures: str = TEST

    @property
    def name(self) -> str:
        """Names the folder of its results."""
        batch = "inf" if self.batch is None else str(self.batch)
        words = [
            self.setup.name,
            self.partition,
            f"C{self.fraction:g}",
            f"E{self.epochs}",
            f"B{batch}",
        ]
        unusual = {self.codec, self.measures} - {FLOAT32, TEST}
        return "-".join([*words, *sorted(unusual)])

    @property
    def goal(self) -> int:
        """Clients per round: max(C K, 1)."""
        return max(round(self.fraction * self.setup.clients), 1)

    @property
    def batch_size(self) -> int:
        """Examples that the model takes at once."""
        return self.batch or self.setup.at_once

    @property
    def updates(self) -> float:
        """Local updates per client and round: u = E n / (K B)."""
        return self.epochs * (self.setup.examples / self.batch if self.batch else 1.0)

    def measured(self, dataset: Dataset) -> Dataset:
        """The data set with the examples as its test ones on which this cell is measured."""
        if self.measures == TEST:
            return dataset
        return replace(dataset, test=dataset.train).tested_on(_MEASURED)

    def wrapped(self, trainers: NewTrainer) -> NewTrainer:
        """The clients' trainers; without batches they step once on all examples, however many."""
        return trainers if self.batch else FullBatchTrainers(trainers)

    def scenario(self, learning_rate: float, *, rounds: int, seed: int) -> Scenario:
        """The simulation of this cell at one learning rate, of so many rounds at most."""
        return Scenario(
            task=self.name,
            population="paper",
            plan=Plan(epochs=self.epochs, batch_size=self.batch_size, learning_rate=learning_rate),
            settings=RoundSettings(
                goal=self.goal,
                over_selection=1.0,
                rounds=rounds,
                retry=_RETRY,
                codecs=(self.codec,),
            ),
            phones=self.setup.clients,
            conditions=Conditions(),
            seed=seed,
            target=self.target,
            limit_s=1e9,
            partition=self.setup.partitions[self.partition],
            measure_every=self.measure_every,
            trainer=GRAPH,
        )
