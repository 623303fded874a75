"""Partitions: which phone owns which examples, for life.

Each is a pure function from labels to one array of indices per phone; no example is owned twice,
and every phone owns at least one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..protocol.errors import ConfigError

Labels = npt.NDArray[np.int32]
Indices = npt.NDArray[np.int64]


def iid(labels: Labels, *, phones: int, rng: np.random.Generator) -> list[Indices]:
    """Shuffles and deals evenly; sizes differ by one at most (paper, section 3)."""
    _require_enough(len(labels), phones)
    return [np.sort(part) for part in np.array_split(rng.permutation(len(labels)), phones)]


def pathological(
    labels: Labels, *, phones: int, shards_each: int = 2, rng: np.random.Generator
) -> list[Indices]:
    """Sorts by label, cuts into shards and deals ``shards_each`` to a phone (paper, section 3)."""
    shards = phones * shards_each
    _require_enough(len(labels), shards)
    cut = np.array_split(np.argsort(labels, kind="stable"), shards)
    deal = rng.permutation(shards).reshape(phones, shards_each)
    return [np.sort(np.concatenate([cut[shard] for shard in hand])) for hand in deal]


def unbalanced_dirichlet(
    labels: Labels, *, phones: int, alpha: float, sigma: float, rng: np.random.Generator
) -> list[Indices]:
    """Log-normal sizes and a Dirichlet label mix per phone; every example is owned.

    Phones draw in a random order, each from what is left, as in Hsu, Qi and Brown 2019 (arXiv
    1909.06335, section 3). A large ``alpha`` gives every phone the same mix, a small one few
    labels; ``sigma`` is the standard deviation of the logarithm of a phone's size.
    """
    _require_enough(len(labels), phones)
    if alpha <= 0:
        raise ConfigError("alpha", alpha, "the Dirichlet concentration must be above 0")
    if sigma < 0:
        raise ConfigError("sigma", sigma, "the spread of the sizes must not be negative")
    sizes = log_normal_sizes(len(labels), phones=phones, sigma=sigma, rng=rng)
    stocks = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    mixes = rng.dirichlet(np.full(len(stocks), alpha), size=phones)
    owned: list[Indices] = [np.empty(0, np.int64)] * phones
    for phone in rng.permutation(phones):
        owned[phone] = _draw(stocks, size=int(sizes[phone]), mix=mixes[phone], rng=rng)
    return owned


def log_normal_sizes(
    total: int, *, phones: int, sigma: float, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """One for every phone, the rest in log-normal shares; the sizes sum to ``total``."""
    shares = rng.lognormal(sigma=sigma, size=phones)
    exact = (total - phones) * shares / shares.sum()
    sizes: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    largest_remainders = np.argsort(sizes - exact, kind="stable")[: total - phones - sizes.sum()]
    sizes[largest_remainders] += 1
    sizes += 1
    return sizes


@dataclass(frozen=True)
class PartitionSummary:
    """How unevenly the examples lie."""

    phones: int
    examples: int
    smallest: int
    median: float
    largest: int
    median_labels: float

    def __str__(self) -> str:
        return (
            f"{self.examples:,} examples on {self.phones} phones: "
            f"{self.smallest} to {self.largest}, median {self.median:g}, "
            f"of {self.median_labels:g} labels"
        )


def summarise(parts: Sequence[Indices], labels: Labels) -> PartitionSummary:
    """Sizes and labels per phone of one partition."""
    sizes = np.array([len(part) for part in parts])
    return PartitionSummary(
        phones=len(parts),
        examples=int(sizes.sum()),
        smallest=int(sizes.min()),
        median=float(np.median(sizes)),
        largest=int(sizes.max()),
        median_labels=float(np.median([len(np.unique(labels[part])) for part in parts])),
    )


def _draw(
    stocks: list[Indices], *, size: int, mix: npt.NDArray[np.float64], rng: np.random.Generator
) -> Indices:
    """Takes ``size`` examples out of the stocks; empty stocks pass their share to the others."""
    taken: list[Indices] = []
    while size:
        left = np.array([len(stock) for stock in stocks])
        wish = np.where(left > 0, mix, 0.0)
        if wish.sum() <= 0:
            wish = left.astype(np.float64)
        counts = np.minimum(rng.multinomial(size, wish / wish.sum()), left)
        for label, count in enumerate(counts):
            taken.append(stocks[label][:count])
            stocks[label] = stocks[label][count:]
        size -= int(counts.sum())
    return np.sort(np.concatenate(taken))


def _require_enough(examples: int, needed: int) -> None:
    if not 1 <= needed <= examples:
        raise ConfigError(
            "phones", needed, f"each needs an example of its own, and there are {examples}"
        )
