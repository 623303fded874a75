"""Diversity: which phones took part and how often, who never did, and whose classes were learned.

Phones and sessions are counted exactly. What a phone owns, and how fast it is, is asked of at most
``LOOKED_AT`` phones and as many places in cohorts, for of a million phones it would take hours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..following.census import Came, Census
from ..following.monitor import RoundRow
from ..ownership import Ownership
from ..streams import Purpose, stream

LOOKED_AT = 1000
MOST_CLASSES = 64

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


@dataclass
class Reach:
    """How far some phones came; each is counted once, at the furthest it ever was."""

    never_checked_in: int = 0
    never_given_a_place: int = 0
    never_accepted: int = 0
    took_part: int = 0

    @property
    def phones(self) -> int:
        return self.never_took_part + self.took_part

    @property
    def never_took_part(self) -> int:
        return self.never_checked_in + self.never_given_a_place + self.never_accepted

    def add(self, came: int) -> None:
        """Counts a phone by its bits of ``Came``."""
        if came & Came.TOOK_PART:
            self.took_part += 1
        elif came & Came.GIVEN_A_PLACE:
            self.never_accepted += 1
        elif came & Came.CHECKED_IN:
            self.never_given_a_place += 1
        else:
            self.never_checked_in += 1


@dataclass(frozen=True)
class Classes:
    """Shares of the examples by class: of the population, of cohorts, of who never took part.

    ``left_out`` is, for each class, the share of its examples that lie with phones that never took
    part. ``distances`` are those of single rounds' mixes from the population's: round, and half the
    sum of the absolute differences, 0 for equal mixes and 1 for disjoint ones.
    """

    population: Shares
    cohorts: Shares
    left_out: Shares
    distances: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Diversity:
    """Who took part. ``times[k]`` counts the phones of which k updates were accepted.

    ``tiers`` and ``classes`` are of the ``looked_at`` phones; classes are None where an example has
    many labels, or nobody took part.
    """

    phones: int
    looked_at: int
    times: Counts
    tiers: dict[str, Reach] = field(default_factory=dict)
    classes: Classes | None = None


def diversity_of(
    census: Census,
    rows: Sequence[RoundRow],
    *,
    phones: int,
    seed: int,
    owned: Ownership | None,
    tier_of: Callable[[int], str],
) -> Diversity:
    """Who took part in a run, from what was counted while it ran."""
    looked_at = _some(np.arange(phones), seed=seed)
    came = census.came(phones)
    tiers: dict[str, Reach] = {}
    for device in looked_at:
        tiers.setdefault(tier_of(int(device)), Reach()).add(int(came[device]))
    return Diversity(
        phones=phones,
        looked_at=len(looked_at),
        times=_times(census, phones),
        tiers=dict(sorted(tiers.items())),
        classes=None if owned is None else _classes(census, rows, owned, looked_at),
    )


def _times(census: Census, phones: int) -> Counts:
    """How many phones took part 0, 1, 2, ... times."""
    taken = [cohort for _, _, cohort in census.cohorts()]
    if not taken:
        return np.array([phones])
    _, times = np.unique(np.concatenate(taken), return_counts=True)
    counted = np.bincount(times)
    counted[0] = phones - len(times)
    return counted


def _classes(
    census: Census, rows: Sequence[RoundRow], owned: Ownership, looked_at: Counts
) -> Classes | None:
    counts = _LabelCounts(owned)
    if not census.accepted or counts.classes is None:
        return None
    came = census.came(owned.phones)
    all_of = counts.of(looked_at)
    never = counts.of(looked_at[came[looked_at] & Came.TOOK_PART == 0])
    population = _shares(all_of)
    cohorts = [
        (row.round, counts.of(census.cohort(row.round, row.attempt).astype(np.int64)))
        for row in _spread(rows, census)
    ]
    if not cohorts:
        return None
    width = max(len(all_of), *(len(one) for _, one in cohorts))
    population = _padded(population, width)
    total = np.sum([_padded(one, width) for _, one in cohorts], axis=0)
    distances = tuple(
        (round_, float(0.5 * np.abs(_padded(_shares(one), width) - population).sum()))
        for round_, one in cohorts
    )
    left_out = _padded(never, width) / np.maximum(_padded(all_of, width), 1)
    return Classes(population, _shares(total), left_out, distances)


def _spread(rows: Sequence[RoundRow], census: Census) -> Iterable[RoundRow]:
    """Rounds at equal steps through the run, as many as have ``LOOKED_AT`` places together."""
    taken = [row for row in rows if len(census.cohort(row.round, row.attempt))]
    if not taken:
        return []
    places = sum(len(census.cohort(row.round, row.attempt)) for row in taken)
    step = max(1, -(-places // LOOKED_AT))
    return taken[::step]


class _LabelCounts:
    """Label counts of phones, each phone's looked up once."""

    def __init__(self, owned: Ownership) -> None:
        self._owned = owned
        self._known: dict[int, Counts] = {}
        first = owned.of(0).y
        most = int(first.max(initial=0)) + 1
        self.classes = most if first.ndim == 1 and most <= MOST_CLASSES else None

    def of(self, devices: npt.NDArray[np.int64]) -> Counts:
        """The sum over phones, each as often as it is named."""
        total = np.zeros(self.classes or 1, np.int64)
        for device, times in Counter(devices.tolist()).items():
            if device not in self._known:
                self._known[device] = np.bincount(self._owned.of(device).y).astype(np.int64)
            mine = self._known[device] * times
            width = max(len(total), len(mine))
            total = _widened(total, width) + _widened(mine, width)
        return total


def _some(numbers: Counts, *, seed: int) -> Counts:
    """All of them if they are few, else a sample that the seed draws, in order."""
    if len(numbers) <= LOOKED_AT:
        return numbers
    drawn = stream(seed, Purpose.LOOKED_AT).choice(len(numbers), LOOKED_AT, replace=False)
    return numbers[np.sort(drawn)]


def _shares(counts: Counts) -> Shares:
    return counts / max(1, int(counts.sum()))


def _padded(values: npt.NDArray[np.generic], width: int) -> Shares:
    """As floats, with zeros for classes of which there is none."""
    padded = np.zeros(width)
    padded[: len(values)] = values
    return padded


def _widened(counts: Counts, width: int) -> Counts:
    widened = np.zeros(width, np.int64)
    widened[: len(counts)] = counts
    return widened
