"""A census: who came, who took part and why the others went home, while a fleet runs.

Arrays and counters only: a byte a phone, four bytes for each accepted update. So it bears a fleet
of a million phones, and it is frozen and thawed with the fleet.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntFlag

import numpy as np
import numpy.typing as npt

from ...protocol.plan import RoundKind
from ..phones.sessions import SessionOutcome, SessionRecord
from .exclusion import TierTally

Devices = npt.NDArray[np.uint32]
FEWEST = 1024


class Came(IntFlag):
    """How far a phone ever came, in training."""

    CHECKED_IN = 1
    GIVEN_A_PLACE = 2
    TOOK_PART = 4


@dataclass(frozen=True)
class Standing:
    """Sums over all sessions that had ended at one instant.

    ``check_ins`` are sessions, for each begins with one. ``turned_away`` counts by reason those
    that were given no place, ``accepted`` the updates of the round it belongs to and of all before.
    The bytes are those of every phone, whatever came of them, and ``distinct`` counts the phones
    of which the server has accepted an update.
    """

    check_ins: int = 0
    turned_away: dict[str, int] = field(default_factory=dict)
    accepted: int = 0
    distinct: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


class Census:
    """Counts sessions as they end."""

    def __init__(self) -> None:
        self.turned_away: Counter[str] = Counter()
        self.tiers: dict[str, TierTally] = {}
        self.distinct = self.accepted = 0
        self._came = np.zeros(FEWEST, np.uint8)
        self._cohorts: dict[tuple[int, int], array[int]] = {}

    def add(self, record: SessionRecord) -> bool:
        """Counts one; returns whether the phone took part for the first time."""
        if record.round == 0:
            self.turned_away[record.reason or record.outcome] += 1
            self._note(record.device, Came.CHECKED_IN)
            return False
        if record.kind is not RoundKind.TRAIN:
            self._note(record.device, Came.CHECKED_IN)
            return False
        self.tiers.setdefault(record.tier, TierTally()).add(record)
        if record.outcome is not SessionOutcome.ACCEPTED:
            self._note(record.device, Came.CHECKED_IN | Came.GIVEN_A_PLACE)
            return False
        return self._take_part(record)

    def came(self, phones: int) -> npt.NDArray[np.uint8]:
        """How far each of so many phones came, as bits of ``Came``."""
        came = np.zeros(phones, np.uint8)
        known = min(phones, len(self._came))
        came[:known] = self._came[:known]
        return came

    def cohort(self, round_: int, attempt: int) -> Devices:
        """The phones of which an attempt accepted an update, in the order in which they ended."""
        return np.array(self._cohorts.get((round_, attempt), ()), np.uint32)

    def cohorts(self) -> Iterator[tuple[int, int, Devices]]:
        """Round, attempt and phones of every attempt, in order."""
        for round_, attempt in sorted(self._cohorts):
            yield round_, attempt, self.cohort(round_, attempt)

    def _take_part(self, record: SessionRecord) -> bool:
        self.accepted += 1
        self._cohorts.setdefault((record.round, record.attempt), array("I")).append(record.device)
        before = self._note(record.device, Came(7))
        is_new = not before & Came.TOOK_PART
        self.distinct += is_new
        return is_new

    def _note(self, device: int, came: Came) -> int:
        """Adds to what is known of a phone; returns what was."""
        if device >= len(self._came):
            grown = np.zeros(max(device + 1, 2 * len(self._came)), np.uint8)
            grown[: len(self._came)] = self._came
            self._came = grown
        before = int(self._came[device])
        self._came[device] = before | came
        return before
