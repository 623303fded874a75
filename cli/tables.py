"""What a person sees of artifacts and tasks: tables on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from ..protocol.admin import RoundSummary, TaskHistory, TaskList

if TYPE_CHECKING:
    from ..model_export import Verification

_NUMBERS = ("goal", "assigned", "accepted", "late", "dropped", "failed")


def show_verification(verification: Verification, console: Console | None = None) -> None:
    """One line a check, then what was measured."""
    console = console or Console()
    table = Table("check", "measured", "limit", "", box=None)
    for check in verification.checks:
        verdict = "[green]ok[/]" if check.passed else "[red]failed[/]"
        table.add_row(check.name, f"{check.measured:.6g}", f"{check.limit:.6g}", verdict)
    console.print(table)
    for name, value in verification.measured.items():
        console.print(f" {name}: {value:,.6g}", highlight=False)


def show_tasks(tasks: TaskList, console: Console | None = None) -> None:
    """One line a task."""
    table = Table("task", "population", "status", "checkpoint", "round", "accepted", box=None)
    for task in tasks.tasks:
        current = task.current
        table.add_row(
            task.name,
            task.population,
            task.status,
            f"{task.checkpoint.version} ({task.checkpoint.sha256[:12]})",
            f"{current.round} {current.phase}" if current else "",
            f"{current.accepted} of {current.goal}" if current else "",
        )
    (console or Console()).print(table if tasks.tasks else "there are no tasks")


def show_history(history: TaskHistory, console: Console | None = None) -> None:
    """A task's facts, then one line an attempt."""
    console = console or Console()
    task = history.task
    console.print(
        f"{task.name} is {task.status} for the population {task.population}; "
        f"checkpoint {task.checkpoint.version} is {task.checkpoint.sha256}",
        soft_wrap=True,
        highlight=False,
    )
    table = Table("round", "attempt", "phase", *_NUMBERS, "examples", "loss", "MB up", box=None)
    for round_ in history.rounds:
        table.add_row(*_cells(round_))
    console.print(table)


def _cells(round_: RoundSummary) -> list[str]:
    phase = f"{round_.phase} ({round_.reason})" if round_.reason else str(round_.phase)
    loss = "" if round_.train_loss is None else f"{round_.train_loss:.4f}"
    return [
        str(round_.round),
        str(round_.attempt),
        phase,
        *(str(getattr(round_, name)) for name in _NUMBERS),
        f"{round_.num_examples:,}",
        loss,
        f"{round_.bytes_up / 1e6:.1f}",
    ]
