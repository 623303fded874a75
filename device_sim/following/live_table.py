"""A run as it happens, on a terminal: a line per round above a progress bar."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from .monitor import RoundRow

_HEADER = "round  accuracy    loss  accepted  late  dropped   MB up  MB down  seconds"


class LiveTable:
    """A context manager; ``add`` prints a row and moves the bar.

    The bar runs to ``rounds``; ``target`` is the accuracy the run is after, shown beside it.
    """

    def __init__(
        self, *, rounds: int | None, target: float | None = None, console: Console | None = None
    ) -> None:
        self._target = target
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f} rounds"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._bar = self._progress.add_task(self._label(None), total=rounds)

    def __enter__(self) -> Self:
        self._progress.start()
        self._progress.console.print(_HEADER, style="bold", highlight=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def add(self, row: RoundRow) -> None:
        """Shows one more round."""
        reached = self._target is not None and row.accuracy >= self._target
        style = "green" if reached else None
        self._progress.console.print(line_of(row), style=style, highlight=False)
        self._progress.update(self._bar, completed=row.round, description=self._label(row.accuracy))

    def _label(self, accuracy: float | None) -> str:
        reached = "" if accuracy is None else f"{accuracy:.1%}"
        wanted = "" if self._target is None else f" of {self._target:.1%}"
        return f"accuracy {reached}{wanted}"


def line_of(row: RoundRow) -> str:
    """One row under the header, columns aligned."""
    return (
        f"{row.round:5d}  {row.accuracy:8.2%}  {row.loss:6.4f}  {row.accepted:8d}  {row.late:4d}"
        f"  {row.dropped:7d}  {row.bytes_up / 1e6:6.1f}  {row.bytes_down / 1e6:7.1f}"
        f"  {row.seconds:7.1f}"
    )
