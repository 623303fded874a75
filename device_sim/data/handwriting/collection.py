"""A collection of handwriting: a writer for each phone, and writers whom no phone knows to test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....protocol.errors import ConfigError, DataError
from ...ownership import Ownership
from ...streams import Purpose, stream
from ..dataset import Dataset
from ..drawn import drawn_size
from ..examples import Examples, joined
from ..sharing import PHONES
from .writers import Writer

TRAIN_WRITERS, TEST_WRITERS, TEST_EACH = 100, 100, 50
# The examples that ignore a run's seed: those to test with, and those to be dealt otherwise.
_FIXED_SEED = 0


@dataclass(frozen=True)
class Handwriting:
    """Every phone is one writer, from its number and the seed; nothing is kept.

    A phone's number of digits is log-normal with this ``mean`` and spread ``sigma``, its mix of
    digits Dirichlet(``alpha``).
    """

    phones: int
    seed: int
    mean: int = 100
    sigma: float = 0.4
    alpha: float = 2.0

    def of(self, device: int) -> Examples:
        rng = self._stream(device)
        size = drawn_size(rng, mean=self.mean, sigma=self.sigma)
        writer = Writer.drawn(rng)
        mix = rng.dirichlet(np.full(10, self.alpha))
        digits = np.repeat(np.arange(10, dtype=np.int32), rng.multinomial(size, mix))
        return Examples(writer.write(digits, rng=rng), digits)

    def num_examples(self, device: int) -> int:
        return drawn_size(self._stream(device), mean=self.mean, sigma=self.sigma)

    def _stream(self, device: int) -> np.random.Generator:
        return stream(self.seed, Purpose.WRITER, device)


def written_by_others() -> Examples:
    """What to test with: by writers who are no phone of any seed, as many of each digit."""
    digits = np.repeat(np.arange(10, dtype=np.int32), TEST_EACH // 10)
    streams = [stream(_FIXED_SEED, Purpose.TEST_WRITER, number) for number in range(TEST_WRITERS)]
    pages = [Writer.drawn(rng).write(digits, rng=rng) for rng in streams]
    return Examples(np.concatenate(pages), np.tile(digits, TEST_WRITERS))


@dataclass(frozen=True)
class Generated:
    """The data set ``handwriting``: made when it is asked for."""

    name: str
    summary: str

    def fetch(self, *, data_dir: Path | None, cache_dir: Path) -> Dataset:
        """Makes it; raises DataError when a folder is demanded, for there is none."""
        if data_dir is not None:
            raise DataError(f"{self.name} is generated, not read from {data_dir}; drop --data_dir")
        pool = Handwriting(TRAIN_WRITERS, _FIXED_SEED)
        return Dataset(
            name=self.name,
            origin="generated",
            train=joined([pool.of(writer) for writer in range(pool.phones)]),
            test=written_by_others(),
            natural=_natural,
        )


def _natural(phones: int | None, seed: int) -> Ownership:
    if phones is not None and phones < 1:
        raise ConfigError("phones", phones, "a fleet has at least one")
    return Handwriting(phones or PHONES, seed)


HANDWRITING = Generated(
    "handwriting", "digits of 28 x 28 pixels by as many writers as there are phones, generated"
)
