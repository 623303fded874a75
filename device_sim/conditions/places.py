"""A place in an attempt at a round: what a phone's fortune in one session is drawn by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ...protocol.messages import Assignment
from ...protocol.plan import RoundKind

_NUMBERS = {RoundKind.TRAIN: 0, RoundKind.EVALUATE: 1}


@dataclass(frozen=True)
class Place:
    """One attempt at one round of one kind."""

    round: int
    attempt: int = 1
    kind: RoundKind = RoundKind.TRAIN

    @classmethod
    def of(cls, assignment: Assignment) -> Self:
        return cls(assignment.round, assignment.attempt, assignment.kind)

    @property
    def keys(self) -> tuple[int, int, int]:
        """The keys of its streams, beside the phone's number."""
        return _NUMBERS[self.kind], self.round, self.attempt
