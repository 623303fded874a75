"""Tables: Markdown of what was measured, read from the files of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..rates import learning_rate
from ..running import AnyCell
from ..runs import Run

NOT_RUN = "not run"


def runs_of(cell: AnyCell, results: Path) -> list[Run]:
    """The kept runs of a cell, the lowest learning rate first."""
    runs = [Run.from_json(path.read_bytes()) for path in (results / cell.name).glob("*.json")]
    return sorted(runs, key=lambda run: run.learning_rate)


def run_at(cell: AnyCell, place: float, results: Path) -> Run | None:
    """The kept run of a cell at a place of the grid."""
    path = results / cell.name / f"{learning_rate(place):.4g}.json"
    return Run.from_json(path.read_bytes()) if path.exists() else None


def best_run(cell: AnyCell, results: Path) -> Run | None:
    """Of the runs of a cell, the one that is soonest at the target, or else comes closest."""
    return min(runs_of(cell, results), key=_badness, default=None)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table and the empty line after it; nothing without rows."""
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def _badness(run: Run) -> tuple[float, float]:
    rounds = run.rounds_to_target
    return (float("inf") if rounds is None else rounds, -run.best_accuracy)
