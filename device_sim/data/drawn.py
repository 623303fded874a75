"""Drawing with replacement: a fleet may be larger than the data set it learns from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...protocol.errors import ConfigError
from ..streams import Purpose, stream
from .examples import Examples
from .partitions import Labels


@dataclass(frozen=True)
class Drawn:
    """Each phone's examples, drawn with replacement from its own stream whenever it is asked.

    Two phones may own the same example, and one phone may own it twice. ``rows`` lists the examples
    label by label, label l at ``rows[starts[l]:starts[l + 1]]``. Nothing is kept per phone.
    """

    examples: Examples
    rows: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    phones: int
    seed: int
    mean: int
    sigma: float
    alpha: float | None

    @classmethod
    def of_labels(
        cls,
        examples: Examples,
        labels: Labels,
        *,
        phones: int,
        seed: int,
        mean: int,
        sigma: float,
        alpha: float | None,
    ) -> Drawn:
        """Draws label by label; raises ConfigError for numbers that describe no distribution."""
        _require(phones=phones, mean=mean, sigma=sigma, alpha=alpha)
        rows = np.argsort(labels, kind="stable").astype(np.int32)
        counts = np.unique(labels, return_counts=True)[1]
        starts = np.cumsum([0, *counts], dtype=np.int64)
        return cls(examples, rows, starts, phones, seed, mean, sigma, alpha)

    def of(self, device: int) -> Examples:
        rng = self._stream(device)
        counts = self._counts(rng, drawn_size(rng, mean=self.mean, sigma=self.sigma))
        begins = np.repeat(self.starts[:-1], counts)
        lengths = np.repeat(np.diff(self.starts), counts)
        return self.examples.take(self.rows[begins + rng.integers(0, lengths)])

    def num_examples(self, device: int) -> int:
        return drawn_size(self._stream(device), mean=self.mean, sigma=self.sigma)

    def _counts(self, rng: np.random.Generator, size: int) -> npt.NDArray[np.int64]:
        """How many of each label."""
        lengths = np.diff(self.starts)
        mix = lengths / lengths.sum()
        if self.alpha is not None:
            mix = rng.dirichlet(np.full(len(lengths), self.alpha))
        return rng.multinomial(size, mix)

    def _stream(self, device: int) -> np.random.Generator:
        return stream(self.seed, Purpose.DRAWN, device)


def drawn_size(rng: np.random.Generator, *, mean: float, sigma: float) -> int:
    """A log-normal number of examples with this mean and spread of its logarithm, at least 1."""
    return max(1, round(mean * math.exp(sigma * rng.standard_normal() - sigma * sigma / 2)))


def _require(*, phones: int, mean: int, sigma: float, alpha: float | None) -> None:
    if phones < 1:
        raise ConfigError("phones", phones, "a fleet has at least one")
    if mean < 1:
        raise ConfigError("examples", mean, "a phone draws at least one")
    if sigma < 0:
        raise ConfigError("sigma", sigma, "the spread of the sizes must not be negative")
    if alpha is not None and alpha <= 0:
        raise ConfigError("alpha", alpha, "the Dirichlet concentration must be above 0")
