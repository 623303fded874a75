"""Problem documents (RFC 9457): an error as it travels, and back."""

from __future__ import annotations

import msgspec

from .errors import AttestationNeeded, PocketFedError, ProtocolError, Unavailable


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error as it travels: RFC 9457, plus ``code`` and what its code adds."""

    code: str
    title: str
    status: int
    detail: str
    retry_after_s: float | None = None
    challenge: str | None = None


def to_problem(error: PocketFedError) -> Problem:
    """Renders an error as a problem document; nothing but ``str(error)`` leaves the process."""
    return Problem(
        code=error.code,
        title=type(error).__name__,
        status=error.status,
        detail=str(error),
        retry_after_s=error.retry_after_s if isinstance(error, Unavailable) else None,
        challenge=error.challenge if isinstance(error, AttestationNeeded) else None,
    )


def from_problem(problem: Problem) -> PocketFedError:
    """Rebuilds the error a problem document was made from.

    A code this version does not know becomes the nearest ancestor its status allows.
    """
    kind = _BY_CODE.get(problem.code)
    if kind is None and problem.status >= 500:
        kind = Unavailable
    if kind is not None and issubclass(kind, Unavailable):
        return kind(problem.detail, retry_after_s=problem.retry_after_s or 60.0)
    if kind is AttestationNeeded:
        return AttestationNeeded(problem.detail, challenge=problem.challenge or "")
    if kind is None:
        return ProtocolError(f"{problem.code}: {problem.detail}")
    error = kind.__new__(kind)
    Exception.__init__(error, problem.detail)
    return error


def _tree(root: type[PocketFedError]) -> dict[str, type[PocketFedError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


_BY_CODE = _tree(PocketFedError)
