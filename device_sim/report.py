"""The report of a run: ``rounds.csv``, ``summary.json``, ``accuracy.png`` and ``index.html``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..protocol.errors import DataError
from ..protocol.record import Count, Positive, Record, Seconds
from .monitor import RoundRow
from .page import render_page
from .plots import DARK, LIGHT, draw


@dataclass(frozen=True)
class RunFacts:
    """What a run was; ``details`` are lines for the reader, label and value.

    ``bytes_up`` and ``bytes_down`` count all phones' traffic, whatever came of it.
    """

    title: str
    phones: int
    seed: int
    seconds: float
    bytes_up: int
    bytes_down: int
    target: float | None = None
    details: tuple[tuple[str, str], ...] = ()


class Summary(Record, frozen=True, kw_only=True):
    """A run in a few numbers. ``accuracy`` is that of the last round, ``best_accuracy`` of any."""

    accuracy: float
    best_accuracy: float
    rounds: Count
    seconds: Seconds
    bytes_up: Count
    bytes_down: Count
    phones: Positive
    seed: int
    target: float | None
    rounds_to_target: int | None
    seconds_to_target: float | None


def summarise_run(rows: Sequence[RoundRow], facts: RunFacts) -> Summary:
    """Condenses a run; raises DataError when no checkpoint was evaluated."""
    if not rows:
        raise DataError("no checkpoint was evaluated, so there is nothing to report")
    goal = float("inf") if facts.target is None else facts.target
    reached = next((row for row in rows if row.accuracy >= goal), None)
    return Summary(
        accuracy=rows[-1].accuracy,
        best_accuracy=max(row.accuracy for row in rows),
        rounds=rows[-1].round,
        seconds=facts.seconds,
        bytes_up=facts.bytes_up,
        bytes_down=facts.bytes_down,
        phones=facts.phones,
        seed=facts.seed,
        target=facts.target,
        rounds_to_target=reached.round if reached else None,
        seconds_to_target=reached.seconds if reached else None,
    )


def write_report(folder: Path, *, rows: Sequence[RoundRow], facts: RunFacts) -> Path:
    """Writes the four files into ``folder``; returns the page to open."""
    summary = summarise_run(rows, facts)
    light, dark = (draw(rows, palette=each, target=facts.target) for each in (LIGHT, DARK))
    page = folder / "index.html"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rounds.csv").write_text(to_csv(rows), encoding="utf-8", newline="")
    (folder / "summary.json").write_bytes(summary.to_json())
    (folder / "accuracy.png").write_bytes(light)
    page.write_text(
        render_page(
            title=facts.title,
            headline=_headline(summary),
            details=(*facts.details, *_details(summary)),
            rows=rows,
            plots=(light, dark),
        ),
        encoding="utf-8",
    )
    return page


def to_csv(rows: Sequence[RoundRow]) -> str:
    """One line per round, columns named after the fields of RoundRow."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(RoundRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def _headline(summary: Summary) -> str:
    reached = f"{summary.accuracy:.2%} after {summary.rounds} rounds"
    if summary.target is None:
        return reached
    if summary.rounds_to_target is None:
        return f"{reached}; the target of {summary.target:.1%} was not reached"
    return (
        f"{summary.target:.1%} reached in round {summary.rounds_to_target}, "
        f"after {summary.seconds_to_target:.1f} s"
    )


def _details(summary: Summary) -> tuple[tuple[str, str], ...]:
    return (
        ("Accuracy, last / best", f"{summary.accuracy:.2%} / {summary.best_accuracy:.2%}"),
        ("Rounds", f"{summary.rounds}"),
        ("Time", f"{summary.seconds:.1f} s"),
        ("Phones", f"{summary.phones}"),
        ("Sent by the phones", f"{summary.bytes_up / 1e6:,.1f} MB"),
        ("Received by the phones", f"{summary.bytes_down / 1e6:,.1f} MB"),
        ("Seed", f"{summary.seed}"),
    )
