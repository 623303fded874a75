"""Makes ``retrying.json``; run it with Python after the rules of repeating have changed.

Each case is an error (``code``, ``status``, ``retry_after_s``) that ended a ``step`` after so many
``tries``, the ``remedy``, and the least and the most seconds to wait: none where a window says it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pocketfed.device_sim.phones.retrying import Remedy, RetryPolicy, Step, remedy
from pocketfed.protocol.errors import (
    AccessError,
    NoAnswer,
    PocketFedError,
    ProtocolError,
    RoundError,
    Unavailable,
)

FILE = Path(__file__).with_suffix(".json")
_POLICY = RetryPolicy()
_TRAVELLING = (ProtocolError, AccessError, RoundError, Unavailable)
_RETRY_AFTER_S = 42.0


class _End(np.random.Generator):
    """Draws one end of every range."""

    def __init__(self, share: float) -> None:
        super().__init__(np.random.PCG64())
        self._share = share

    def uniform(self, low: float = 0.0, high: float = 1.0, size: object = None) -> float:  # type: ignore[override]
        return low + (high - low) * self._share


def cases() -> list[dict[str, Any]]:
    return [
        _case(error, step, tries)
        for error in _errors()
        for step in Step
        for tries in range(1, _POLICY.tries + 1)
    ]


def _case(error: PocketFedError, step: Step, tries: int) -> dict[str, Any]:
    chosen = remedy(error, step=step, tries=tries, policy=_POLICY)
    is_named = isinstance(error, Unavailable) and not isinstance(error, NoAnswer)
    return {
        "code": error.code,
        "status": None if isinstance(error, NoAnswer) else error.status,
        "retry_after_s": _RETRY_AFTER_S if is_named else None,
        "step": step.name,
        "tries": tries,
        "remedy": chosen.name,
        "wait_s": _wait_s(chosen, error, tries),
    }


def _wait_s(chosen: Remedy, error: PocketFedError, tries: int) -> list[float] | None:
    ends = (_End(0.0), _End(1.0))
    if chosen is Remedy.SAME_REQUEST:
        return [_POLICY.same_request_wait_s(error, tries=tries)] * 2
    if chosen is Remedy.NO_ANSWER:
        return [_POLICY.no_answer_wait_s(end) for end in ends]
    if chosen is Remedy.REFUSED:
        return [_POLICY.refused_wait_s(end) for end in ends]
    return None


def _errors() -> Iterator[PocketFedError]:
    """One of every kind that travels, and the one that a device makes itself."""
    yield PocketFedError("failed")
    for kind in _kinds(*_TRAVELLING):
        if issubclass(kind, Unavailable):
            yield kind("failed", retry_after_s=_RETRY_AFTER_S)
        else:
            yield kind("failed")


def _kinds(*roots: type[PocketFedError]) -> Iterator[type[PocketFedError]]:
    for root in roots:
        yield root
        yield from _kinds(*root.__subclasses__())


def text() -> str:
    """One case a line, so that a change shows."""
    lines = ",\n".join(json.dumps(case) for case in cases())
    return f"[\n{lines}\n]\n"


if __name__ == "__main__":
    FILE.write_text(text())
