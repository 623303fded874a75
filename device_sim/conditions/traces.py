"""Traces: when phones were eligible, how fast they were, read from a CSV file.

The file has a header with the columns ``device``, ``start_s`` and ``end_s``, and, if known,
``tier``, ``batch_ms``, ``down_kb_s`` and ``up_kb_s``. A row is one stretch in which a phone is
eligible; instant 0 is where the virtual clock starts. What a phone is like may stand in any of its
rows, and may not change between them.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from ...protocol.errors import DataError
from ..streams import Purpose, stream
from .compute import PhoneSpeed
from .needs import EVERYTHING, Presence, Stretch
from .network import PhoneNetwork

WEEK_S = 7 * 86400.0
NEEDED = ("device", "start_s", "end_s")
OPTIONAL = ("tier", "batch_ms", "down_kb_s", "up_kb_s")


@dataclass(frozen=True)
class TracedPhone:
    """One phone of a trace: its eligible stretches in order, and what else the file knows of it."""

    intervals: tuple[tuple[float, float], ...]
    tier: str | None = None
    batch_ms: float | None = None
    down_kb_s: float | None = None
    up_kb_s: float | None = None

    def speed_instead_of(self, speed: PhoneSpeed) -> PhoneSpeed:
        """What the file says of the phone's speed, and what it does not say as it was drawn."""
        if self.batch_ms is not None:
            speed = PhoneSpeed(self.batch_ms / 1000)
        return speed if self.tier is None else replace(speed, tier=self.tier)

    def network_instead_of(self, network: PhoneNetwork) -> PhoneNetwork:
        """The same for its bandwidths."""
        if self.down_kb_s is not None:
            network = replace(network, down_bytes_s=1000 * self.down_kb_s)
        return network if self.up_kb_s is None else replace(network, up_bytes_s=1000 * self.up_kb_s)


@dataclass(frozen=True)
class TracedPresence:
    """A phone that is eligible as its trace says, once or every ``period_s`` seconds."""

    intervals: tuple[tuple[float, float], ...]
    period_s: float | None

    def at(self, now_s: float) -> Stretch:
        cycle = 0 if self.period_s is None else int(now_s // self.period_s)
        stretch = self._within(cycle, now_s)
        if now_s < stretch.ends_s:
            return stretch
        # Rounding has put the end of a cycle into it.
        return self._within(cycle + 1, now_s)

    def _within(self, cycle: int, now_s: float) -> Stretch:
        first_s = cycle * (self.period_s or 0.0)
        last_s = math.inf if self.period_s is None else (cycle + 1) * self.period_s
        place = bisect_right(self.intervals, now_s - first_s, key=lambda one: one[0])
        upcoming = self.intervals[place:]
        next_s = first_s + upcoming[0][0] if upcoming else last_s
        if not place:
            return Stretch(first_s, next_s, EVERYTHING)
        begins_s, ends_s = (first_s + edge for edge in self.intervals[place - 1])
        if now_s < ends_s:
            return Stretch(begins_s, ends_s)
        return Stretch(ends_s, next_s, EVERYTHING)


@dataclass(frozen=True)
class Traced:
    """Phones that come and go as those of a file did; an ``Availability``.

    A fleet's phone takes the traced phone of its own number; beyond them, one that the seed draws.
    ``repeats_weekly`` tells what follows the file's end: the same week again, or nothing.
    """

    phones: tuple[TracedPhone, ...]
    repeats_weekly: bool = True

    def of_phone(self, *, seed: int, device: int) -> Presence:
        period_s = WEEK_S if self.repeats_weekly else None
        return TracedPresence(self.phone(seed=seed, device=device).intervals, period_s)

    def phone(self, *, seed: int, device: int) -> TracedPhone:
        """The traced phone that this one lives like."""
        if device < len(self.phones):
            return self.phones[device]
        return self.phones[int(stream(seed, Purpose.TRACE, device).integers(len(self.phones)))]


def read_trace(path: Path, *, repeats_weekly: bool = True) -> Traced:
    """Reads a CSV file; phones are numbered in the order in which the file names them first.

    Raises DataError with the line for a column that is missing or unknown, for what is no number,
    a stretch that ends before it begins, lies outside the week that repeats, or overlaps another
    one of the phone, and for a phone that two rows describe differently.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = [name.strip() for name in next(rows, [])]
        _require_header(path, header)
        found: dict[str, list[_Row]] = {}
        for cells in rows:
            if any(cell.strip() for cell in cells):
                row = _row(f"{path}, line {rows.line_num}", header, cells)
                row.require_week(repeats_weekly=repeats_weekly)
                found.setdefault(row.device, []).append(row)
    if not found:
        raise DataError(f"{path} has no phone: give one row for each stretch of each phone")
    return Traced(tuple(_phone(rows) for rows in found.values()), repeats_weekly)


@dataclass(frozen=True)
class _Row:
    where: str
    device: str
    start_s: float
    end_s: float
    known: MappingProxyType[str, str | float]

    def require_week(self, *, repeats_weekly: bool) -> None:
        if repeats_weekly and self.end_s > WEEK_S:
            raise DataError(
                f"{self.where}: end_s is {self.end_s:g}, and a week that repeats has {WEEK_S:g} "
                "seconds; cut the trace to a week, or let it end"
            )


def _require_header(path: Path, header: list[str]) -> None:
    for name in NEEDED:
        if name not in header:
            raise DataError(f"{path}, line 1: no column {name!r}; expected {', '.join(NEEDED)}")
    for name in header:
        if name not in NEEDED + OPTIONAL or header.count(name) > 1:
            raise DataError(
                f"{path}, line 1: got the column {name!r}, expected each of {', '.join(NEEDED)} "
                f"once and, if known, {', '.join(OPTIONAL)}"
            )


def _row(where: str, header: list[str], cells: list[str]) -> _Row:
    if len(cells) != len(header):
        raise DataError(f"{where}: got {len(cells)} cells, expected {len(header)}")
    texts = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    start_s, end_s = (_number(where, name, texts[name]) for name in ("start_s", "end_s"))
    if not texts["device"]:
        raise DataError(f"{where}: device is empty; name the phone")
    if not 0 <= start_s < end_s:
        raise DataError(
            f"{where}: start_s {start_s:g}, end_s {end_s:g}; expected 0 <= start_s < end_s"
        )
    return _Row(where, texts["device"], start_s, end_s, MappingProxyType(_known(where, texts)))


def _known(where: str, texts: dict[str, str]) -> dict[str, str | float]:
    """The optional cells that are filled."""
    known: dict[str, str | float] = {}
    for name in OPTIONAL:
        if text := texts.get(name, ""):
            known[name] = text if name == "tier" else _positive(where, name, text)
    return known


def _positive(where: str, name: str, text: str) -> float:
    number = _number(where, name, text)
    if number <= 0:
        raise DataError(f"{where}: {name} is {text}, expected more than 0")
    return number


def _number(where: str, name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise DataError(f"{where}: {name} is {text!r}, expected a number") from error
    if not math.isfinite(number):
        raise DataError(f"{where}: {name} is {text!r}, expected a finite number")
    return number


def _phone(rows: list[_Row]) -> TracedPhone:
    known: dict[str, str | float] = {}
    for row in rows:
        for name, value in row.known.items():
            if known.setdefault(name, value) != value:
                raise DataError(
                    f"{row.where}: {name} of phone {row.device} is {value}, it was {known[name]}"
                )
    tier = known.get("tier")
    return TracedPhone(
        intervals=tuple(_in_order(rows)),
        tier=None if tier is None else str(tier),
        batch_ms=_float(known.get("batch_ms")),
        down_kb_s=_float(known.get("down_kb_s")),
        up_kb_s=_float(known.get("up_kb_s")),
    )


def _float(value: str | float | None) -> float | None:
    return None if value is None else float(value)


def _in_order(rows: Iterable[_Row]) -> Iterator[tuple[float, float]]:
    before: _Row | None = None
    for row in sorted(rows, key=lambda row: row.start_s):
        if before is not None and row.start_s < before.end_s:
            raise DataError(
                f"{row.where}: phone {row.device} is eligible from {row.start_s:g} on, but "
                f"{before.where} has it until {before.end_s:g}; merge the two"
            )
        yield row.start_s, row.end_s
        before = row
