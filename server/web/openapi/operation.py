"""An operation: who may ask, with what, and each answer there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from ....protocol import errors
from ....protocol.errors import PocketFedError
from ....protocol.record import Record

OCTETS = "application/octet-stream"
TEXT = "text/plain"
HTML = "text/html"
METRICS = "text/plain; version=0.0.4; charset=utf-8"
ANY_JSON = "application/json"


class Access(Enum):
    """Whose token a request carries."""

    NONE = auto()
    DEVICE = auto()
    OPERATOR = auto()
    EITHER = auto()
    METRICS = auto()


@dataclass(frozen=True)
class Answer:
    """An answer that is no problem; ``body`` is a record, a media type, or nothing."""

    status: int
    meaning: str
    body: type[Record] | str | None = None


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one route. ``headers`` is name -> whether a request must have it."""

    method: str
    route: str
    name: str
    summary: str
    access: Access
    body: type[Record] | str | None = None
    headers: Mapping[str, bool] = field(default_factory=dict)
    query: tuple[str, ...] = ()
    answers: tuple[Answer, ...]
    problems: tuple[type[PocketFedError], ...] = ()

    @property
    def errors(self) -> tuple[type[PocketFedError], ...]:
        """The errors of this operation, and those that every one of its kind may meet."""
        found = [*self.problems, PocketFedError, errors.Unavailable]
        if self.access is not Access.NONE:
            found.append(errors.Unauthenticated)
        if self.body is not None:
            found += [errors.MalformedPayload, errors.TruncatedBody, errors.PayloadTooLarge]
        return tuple(dict.fromkeys(found))
