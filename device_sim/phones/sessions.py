"""Sessions: what became of each place a phone was given."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ...protocol.errors import AssignmentExpired, PocketFedError, RoundClosed
from ...protocol.plan import RoundKind


class SessionOutcome(StrEnum):
    """How a session ended, as the phone saw it."""

    ACCEPTED = "accepted"
    LATE = "late"
    DROPPED = "dropped"
    FAILED = "failed"
    REFUSED = "refused"
    TURNED_AWAY = "turned_away"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class SessionRecord:
    """One session, from check-in to its end.

    ``shape`` draws it as in Bonawitz et al. 2019 (section 5): ``-`` checked in, ``v`` plan and
    model here, ``[`` training, ``]`` trained, ``+`` upload, ``^`` acknowledged, ``#`` rejected,
    ``!`` interrupted, ``*`` error. ``(`` and ``)`` stand for measuring instead of training. A
    session that was turned away has round 0. ``began_s`` and ``ended_s`` are instants of the
    fleet's clock; ``tier`` is the phone's class of speed, empty where there are none. ``deviation``
    is how far two trainers were apart, where the training was compared. ``reason`` is that of the
    server's rejection or the code of the error that ended it. ``bytes_model`` and
    ``bytes_checkpoint`` are parts of ``bytes_down``, ``bytes_update`` of ``bytes_up``; the rest
    are messages.
    """

    device: int
    round: int
    attempt: int
    outcome: SessionOutcome
    shape: str
    num_examples: int
    bytes_up: int
    bytes_down: int
    detail: str = ""
    kind: RoundKind = RoundKind.TRAIN
    began_s: float = 0.0
    ended_s: float = 0.0
    tier: str = ""
    deviation: float | None = None
    reason: str = ""
    bytes_model: int = 0
    bytes_checkpoint: int = 0
    bytes_update: int = 0


def ending_of(error: PocketFedError) -> tuple[SessionOutcome, str]:
    """How a session that met this error ended, and its mark."""
    if isinstance(error, (RoundClosed, AssignmentExpired)):
        return SessionOutcome.LATE, "#"
    if error.retryable:
        return SessionOutcome.FAILED, "*"
    return SessionOutcome.REFUSED, "#"
