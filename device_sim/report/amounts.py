"""Amounts as a reader takes them in: bytes, durations, shares."""

from __future__ import annotations

from .html import NONE

_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_DURATIONS = ((172_800.0, 86_400.0, "days"), (7200.0, 3600.0, "h"), (120.0, 60.0, "min"))


def bytes_of(count: float | None) -> str:
    """Three digits and a unit."""
    if count is None:
        return NONE
    for size, unit in _SIZES:
        if count >= size:
            return f"{count / size:.{_decimals(count / size)}f} {unit}"
    return f"{count:.0f} B"


def _decimals(number: float) -> int:
    return 2 if number < 10 else 1 if number < 100 else 0


def duration_of(seconds: float | None) -> str:
    """Seconds, minutes, hours or days, whichever is short."""
    if seconds is None:
        return NONE
    for least, size, unit in _DURATIONS:
        if seconds >= least:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def share_of(part: float, whole: float) -> str:
    """A part in per cent of its whole."""
    return f"{part / whole:.1%}" if whole else NONE


def ratio_of(number: float | None) -> str:
    return NONE if number is None else f"{number:,.2f}"
