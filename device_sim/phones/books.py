"""Books: what one phone notes of the session under way, until it makes a record of it."""

from __future__ import annotations

from collections.abc import Callable

from ...protocol.messages import Assignment
from ...protocol.plan import RoundKind
from ..conditions import PhoneConditions
from .sessions import SessionOutcome, SessionRecord
from .traffic import Itemised


class Books:
    """One phone's notes. ``shape`` grows as the session does, see ``SessionRecord``.

    ``reason`` is the server's word for why the session went no further, empty unless there is one.
    """

    def __init__(
        self, conditions: PhoneConditions, *, traffic: Itemised, clock: Callable[[], float]
    ) -> None:
        self._conditions = conditions
        self._traffic = traffic
        self._clock = clock
        self._counted = Itemised()
        self._began_s: float | None = None
        self.shape, self.detail, self.reason = "-", "", ""
        self.deviation: float | None = None

    def begins(self) -> None:
        """The phone checks in; a repeated check-in is still the same session."""
        if self._began_s is None:
            self._began_s = self._clock()

    def closed(
        self,
        assignment: Assignment | None,
        outcome: SessionOutcome,
        mark: str,
        *,
        detail: str,
        num_examples: int,
    ) -> SessionRecord:
        """The record of the session, with all traffic since the one before; begins a new one."""
        now_s, moved = self._clock(), self._traffic.since(self._counted)
        record = SessionRecord(
            device=self._conditions.device,
            round=assignment.round if assignment else 0,
            attempt=assignment.attempt if assignment else 0,
            outcome=outcome,
            shape=self.shape + mark,
            num_examples=num_examples,
            bytes_up=moved.up,
            bytes_down=moved.down,
            bytes_model=moved.model,
            bytes_checkpoint=moved.checkpoint,
            bytes_update=moved.update,
            detail=detail,
            kind=assignment.kind if assignment else RoundKind.TRAIN,
            began_s=now_s if self._began_s is None else self._began_s,
            ended_s=now_s,
            tier=self._conditions.speed.tier,
            deviation=self.deviation,
            reason=self.reason,
        )
        self._counted = self._traffic.now()
        self.shape, self.detail, self.reason = "-", "", ""
        self._began_s, self.deviation = None, None
        return record
