"""Setups: what cells have in common, a model and the data that so many clients have.

``shakespeare-small`` is ours, not the paper's: what a machine of two cores can finish.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..device_sim.data.dataset import Dataset
from ..device_sim.data.datasets import Recipe, fetch
from ..device_sim.data.images import MNIST
from ..device_sim.data.shakespeare import SHAKESPEARE, Excerpt
from ..device_sim.data.sharing import Iid, Natural, Partition, Pathological
from .beginnings import CENTRED, WEIGHTS, Beginning


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A model of the zoo, what it learns from, and how that is shared out.

    ``examples`` is how many a client trains on, on average. Of a batch without end the model takes
    ``at_once``, and steps once for all of them; ``tests_at_once`` are evaluated together.
    ``non_iid`` is the partition of that name. With an ``excerpt`` only some roles speak. With a
    ``beginning`` the model begins otherwise than in the zoo.
    """

    name: str
    model: str
    dataset: str
    clients: int
    examples: float
    at_once: int
    tests_at_once: int
    non_iid: Partition
    excerpt: Excerpt | None = None
    beginning: Beginning | None = None

    @property
    def partitions(self) -> Mapping[str, Partition]:
        return {"iid": Iid(), "non-iid": self.non_iid}

    def fetch(self, *, data_dir: Path | None) -> Dataset:
        """The data set, from ``data_dir`` if there is one; raises DataError."""
        recipes: Mapping[str, Recipe] = {
            MNIST.name: MNIST,
            SHAKESPEARE.name: replace(SHAKESPEARE, excerpt=self.excerpt),
        }
        return fetch(self.dataset, data_dir=data_dir, recipes=recipes)


TWO_NN = Setup(
    name="2nn",
    model="mnist_2nn",
    dataset=MNIST.name,
    clients=100,
    examples=600,
    at_once=600,
    tests_at_once=1000,
    non_iid=Pathological(),
)
TWO_NN_CENTRED = replace(TWO_NN, name="2nn-centred", beginning=CENTRED)
TWO_NN_WEIGHTS = {
    weights: replace(TWO_NN, name=f"2nn-{weights}", beginning=beginning)
    for weights, beginning in WEIGHTS.items()
}
CNN = replace(TWO_NN, name="cnn", model="mnist_cnn")
# The paper has 1,146 roles; see docs/fleet.md for what is told apart here.
SHAKESPEARE_BY_ROLE = Setup(
    name="shakespeare",
    model="char_lstm",
    dataset=SHAKESPEARE.name,
    clients=1227,
    examples=43_145 / 1227,
    at_once=50,
    tests_at_once=100,
    non_iid=Natural(),
)
SHAKESPEARE_SMALL = replace(
    SHAKESPEARE_BY_ROLE,
    name="shakespeare-small",
    clients=40,
    examples=1111 / 40,
    excerpt=Excerpt(roles=40, lines=200),
)
