"""Partitions: which phone owns which examples, for life.

Each is a pure function from labels or sizes to one array of indices per phone; no example is owned
twice, and every phone owns at least one. A phone with less than one batch is nothing unusual.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...protocol.errors import ConfigError

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
    if shards_each < 1:
        raise ConfigError("shards_each", shards_each, "a phone gets one at least")
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
    sizes = log_normal_sizes(len(labels), phones=phones, sigma=sigma, rng=rng)
    stocks = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    mixes = rng.dirichlet(np.full(len(stocks), alpha), size=phones)
    owned: list[Indices] = [np.empty(0, np.int64)] * phones
    for phone in rng.permutation(phones):
        owned[phone] = _draw(stocks, size=int(sizes[phone]), mix=mixes[phone], rng=rng)
    return owned


def of_sizes(sizes: npt.NDArray[np.int64], *, rng: np.random.Generator) -> list[Indices]:
    """Shuffles and deals as many to each phone as ``sizes`` says, whatever the labels."""
    order = rng.permutation(int(sizes.sum()))
    return [np.sort(part) for part in np.split(order, np.cumsum(sizes)[:-1])]


def by_owner(owners: npt.NDArray[np.integer]) -> list[Indices]:
    """The natural partition: ``owners`` names the owner of each example, from 0 without a gap."""
    order = np.argsort(owners, kind="stable")
    return np.split(order, np.cumsum(np.bincount(owners))[:-1])


def log_normal_sizes(
    total: int, *, phones: int, sigma: float, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """One for every phone, the rest in log-normal shares; the sizes sum to ``total``."""
    _require_enough(total, phones)
    if sigma < 0:
        raise ConfigError("sigma", sigma, "the spread of the sizes must not be negative")
    return _sizes(total, shares=rng.lognormal(sigma=sigma, size=phones))


def zipf_sizes(
    total: int, *, phones: int, a: float, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """One for every phone, the rest in Zipf shares, P(s) ~ s^-a; the sizes sum to ``total``.

    Most phones then own next to nothing and a few nearly everything. With 1.95 REFL (arXiv
    2111.01108) skews labels; below 2 the shares have no mean.
    """
    _require_enough(total, phones)
    if a <= 1:
        raise ConfigError("a", a, "the exponent of a Zipf distribution must be above 1")
    return _sizes(total, shares=rng.zipf(a, size=phones).astype(np.float64))


def _sizes(total: int, *, shares: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Whole numbers of at least 1 in these shares, by largest remainder."""
    phones = len(shares)
    exact = (total - phones) * shares / shares.sum()
    sizes: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    largest_remainders = np.argsort(sizes - exact, kind="stable")[: total - phones - sizes.sum()]
    sizes[largest_remainders] += 1
    sizes += 1
    return sizes


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
        reason = f"each needs an example of its own, and there are {examples}"
        raise ConfigError("phones", needed, f"{reason}; let them draw with --partition=sampled")
