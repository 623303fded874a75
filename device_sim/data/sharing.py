"""Sharing: the choices of who owns what, as values that a command line can name.

A choice turns a data set, a number of phones and a seed into an ``Ownership``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import numpy as np

from ...protocol.errors import ConfigError
from ..ownership import Ownership, Partitioned
from ..streams import Purpose, stream
from . import partitions
from .dataset import Dataset
from .drawn import Drawn
from .partitions import Labels

PHONES = 100
SUMMARISED = 200


class Iid(msgspec.Struct, frozen=True, tag="iid", tag_field="kind"):
    """Shuffled and dealt evenly (arXiv 1602.05629, section 3)."""

    def share(self, dataset: Dataset, *, phones: int | None, seed: int) -> Ownership:
        indices = np.zeros(len(dataset.train), np.int32)
        parts = partitions.iid(indices, phones=phones or PHONES, rng=_rng(seed))
        return Partitioned.of_parts(dataset.train, parts)


class Pathological(msgspec.Struct, frozen=True, tag="pathological", tag_field="kind"):
    """Sorted by label and dealt in ``shards_each`` shards (arXiv 1602.05629, section 3)."""

    shards_each: int = 2

    def share(self, dataset: Dataset, *, phones: int | None, seed: int) -> Ownership:
        parts = partitions.pathological(
            labels_of(dataset),
            phones=phones or PHONES,
            shards_each=self.shards_each,
            rng=_rng(seed),
        )
        return Partitioned.of_parts(dataset.train, parts)


class Dirichlet(msgspec.Struct, frozen=True, tag="dirichlet", tag_field="kind"):
    """Labels mixed by Dirichlet(``alpha``), sizes log-normal with spread ``sigma``, 0 for equal."""

    alpha: float = 1.0
    sigma: float = 1.0

    def share(self, dataset: Dataset, *, phones: int | None, seed: int) -> Ownership:
        parts = partitions.unbalanced_dirichlet(
            labels_of(dataset),
            phones=phones or PHONES,
            alpha=self.alpha,
            sigma=self.sigma,
            rng=_rng(seed),
        )
        return Partitioned.of_parts(dataset.train, parts)


class LogNormal(msgspec.Struct, frozen=True, tag="log_normal", tag_field="kind"):
    """Log-normal sizes with spread ``sigma``, whatever the labels."""

    sigma: float = 1.0

    def share(self, dataset: Dataset, *, phones: int | None, seed: int) -> Ownership:
        rng, total = _rng(seed), len(dataset.train)
        sizes = partitions.log_normal_sizes(
            total, phones=phones or PHONES, sigma=self.sigma, rng=rng
        )
        return Partitioned.of_parts(dataset.train, partitions.of_sizes(sizes, rng=rng))


class Zipf(msgspec.Struct, frozen=True, tag="zipf", tag_field="kind"):
    """Zipf sizes with exponent ``a``, whatever the labels."""

    a: float = 1.95

    def share(self, dataset: Dataset, *, phones: int | None, seed: int) -> Ownership:
        rng, total = _rng(seed), len(dataset.train)
        sizes = partitions.zipf_sizes(total, phones=phones or PHONES, a=self.a, rng=rng)
        return Partitioned.of_parts(dataset.train, partitions.of_sizes(sizes, rng=rng))


class Sampled(msgspec.Struct, frozen=True, tag="sampled", tag_field="kind"):
    """Every phone draws its own examples, with replacement, so phones may outnumber examples.

    ``examples`` is the mean of a phone's number of them, ``sigma`` its log-normal spread;
    ``alpha`` mixes labels as in ``Dirichlet``, and without it examples are drawn evenly.
    """

    examples: int = 100
    sigma: float = 1.0
    alpha: float | None = None

    def share(self, dataset: Dataset, *, phones: int | None, seed: int) -> Ownership:
        labels = (
            np.zeros(len(dataset.train), np.int32) if self.alpha is None else labels_of(dataset)
        )
        return Drawn.of_labels(
            dataset.train,
            labels,
            phones=phones or PHONES,
            seed=seed,
            mean=self.examples,
            sigma=self.sigma,
            alpha=self.alpha,
        )


class Natural(msgspec.Struct, frozen=True, tag="natural", tag_field="kind"):
    """The data set's own owners: writers or roles, as many as there are unless phones are given."""

    def share(self, dataset: Dataset, *, phones: int | None, seed: int) -> Ownership:
        if dataset.natural is None:
            reason = f"{dataset.name} knows no owners; choose another"
            raise ConfigError("partition", "natural", reason)
        return dataset.natural(phones, seed)


Partition: TypeAlias = Iid | Pathological | Dirichlet | LogNormal | Zipf | Sampled | Natural


def usual(dataset: Dataset) -> Partition:
    """What is taken when nobody chose: the natural owners, else an uneven mix."""
    return Dirichlet() if dataset.natural is None else Natural()


def labels_of(dataset: Dataset) -> Labels:
    """One label for each example; raises ConfigError where there are several."""
    labels = dataset.train.y
    if labels.ndim != 1:
        reason = f"it goes by labels, and an example of {dataset.name} has {labels.shape[1]}"
        raise ConfigError("partition", dataset.name, f"{reason}; choose natural, iid or log_normal")
    return labels


@dataclass(frozen=True)
class Summary:
    """How unevenly examples lie, of the first ``looked_at`` phones."""

    phones: int
    looked_at: int
    smallest: int
    median: float
    largest: int
    median_labels: float | None

    def __str__(self) -> str:
        labels = "" if self.median_labels is None else f", of {self.median_labels:g} labels"
        among = "" if self.looked_at == self.phones else f" (the first {self.looked_at})"
        return (
            f"{self.phones:,} phones{among}: {self.smallest:,} to {self.largest:,} examples, "
            f"median {self.median:g}{labels}"
        )


def summarise(owned: Ownership, *, at_most: int = SUMMARISED) -> Summary:
    """Looks at some phones; ``median_labels`` is None where an example has many labels."""
    looked_at = min(owned.phones, at_most)
    sizes = [owned.num_examples(device) for device in range(looked_at)]
    labels = [owned.of(device).y for device in range(looked_at)]
    distinct = [len(np.unique(one)) for one in labels if one.ndim == 1]
    return Summary(
        phones=owned.phones,
        looked_at=looked_at,
        smallest=min(sizes),
        median=float(np.median(sizes)),
        largest=max(sizes),
        median_labels=float(np.median(distinct)) if distinct else None,
    )


def _rng(seed: int) -> np.random.Generator:
    return stream(seed, Purpose.OWNERSHIP)
