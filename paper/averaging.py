"""Figure 1: what becomes of the loss when the weights of two trained models are mixed.

Two 2NN are trained by SGD of rate 0.1 for 240 updates of B=50 (E=20), each on 600 examples that the
other does not have, and mixed as theta * w + (1 - theta) * w'. From different initialisations the
middle is bad; from a shared one the average is better than both parents (arXiv 1602.05629, figure
1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from .. import __version__
from ..cli.simulating.trainers import GRAPH, trainers_of
from ..device_sim.data.dataset import Dataset
from ..device_sim.data.sharing import Iid
from ..device_sim.streams import Purpose, stream
from ..device_sim.training.equality import disagreement_raised
from ..device_sim.training.trainers import Trainer
from ..protocol.artifact import Artifact
from ..protocol.plan import Plan
from ..protocol.record import Record
from ..protocol.weights import Weights
from .running import artifact_of
from .setups import TWO_NN

PLAN = Plan(epochs=20, batch_size=50, learning_rate=0.1)
THETAS: tuple[float, ...] = tuple(float(theta) for theta in np.linspace(-0.2, 1.2, 50))


class Mixture(Record, frozen=True, kw_only=True):
    """Losses over the whole training set; theta 1 is the first parent and 0 the second."""

    initialisation: str
    seed: int
    thetas: tuple[float, ...]
    losses: tuple[float, ...]
    parents: tuple[float, float]
    middle: float
    version: str
    measured_on: str


@dataclass(frozen=True)
class Parent:
    """A model and where it starts."""

    trainer: Trainer
    start: Weights

    @classmethod
    def of(cls, artifact: Artifact) -> Parent:
        make = trainers_of(GRAPH, artifact)
        return cls(make(artifact.model, artifact.manifest), artifact.checkpoint)


@disagreement_raised()
def mixtures(dataset: Dataset, *, scratch: Path, seed: int = 0) -> tuple[Mixture, Mixture]:
    """The two panels of the figure: different initialisations, and a shared one."""
    here, there = (
        Parent.of(artifact_of(TWO_NN, PLAN.batch_size, scratch, seed=each))
        for each in (seed, seed + 1)
    )
    return (
        _mixture("different", (here, there), dataset, seed),
        _mixture("shared", (here, here), dataset, seed),
    )


def kept_mixtures(folder: Path) -> list[Mixture]:
    """The panels that were kept in a folder."""
    return [Mixture.from_json(path.read_bytes()) for path in sorted(folder.glob("*.json"))]


def _mixture(
    initialisation: str, parents: tuple[Parent, Parent], dataset: Dataset, seed: int
) -> Mixture:
    owned = Iid().share(dataset, phones=TWO_NN.clients, seed=seed)
    trained = []
    for client, parent in enumerate(parents):
        rng = stream(seed, Purpose.SHUFFLE, client, 1)
        result = parent.trainer.train(parent.start, owned.of(client), plan=PLAN, rng=rng)
        trained.append(parent.start.vector + result.delta.vector)
    losses = _losses(parents[0], trained, THETAS, dataset)
    first, middle, second = _losses(parents[0], trained, (1.0, 0.5, 0.0), dataset)
    return Mixture(
        initialisation=initialisation,
        seed=seed,
        thetas=THETAS,
        losses=losses,
        parents=(first, second),
        middle=middle,
        version=__version__,
        measured_on=date.today().isoformat(),
    )


def _losses(
    parent: Parent, trained: Sequence[np.ndarray], thetas: Sequence[float], dataset: Dataset
) -> tuple[float, ...]:
    one, other = trained
    mixed = (theta * one + (1.0 - theta) * other for theta in thetas)
    return tuple(
        parent.trainer.evaluate(
            Weights(parent.start.spec, vector.astype(np.float32)), dataset.train
        ).loss
        for vector in mixed
    )
