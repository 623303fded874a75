"""What an operator sees fits a terminal of 80 columns, whole words only."""

import io

import msgspec
from pocketfed.cli.tables import show_history, show_tasks
from pocketfed.protocol.admin import (
    CheckpointSummary,
    RoundPhase,
    RoundSummary,
    TaskHistory,
    TaskList,
    TaskStatus,
    TaskSummary,
)
from pocketfed.protocol.plan import Plan, RoundSettings
from rich.console import Console

CHECKPOINT = CheckpointSummary(
    version=1, sha256="ab" * 32, bytes=800_000, url="/v1/blobs/ab", created_at=0.0
)
ROUND = RoundSummary(
    round=1,
    attempt=1,
    phase=RoundPhase.COMMITTED,
    goal=10,
    minimum=8,
    capacity=13,
    assigned=13,
    accepted=10,
    late=2,
    dropped=1,
    num_examples=123_456,
    train_loss=0.1234,
    bytes_up=8_000_000,
    base_version=0,
)
TASK = TaskSummary(
    name="digits",
    population="demo",
    status=TaskStatus.RUNNING,
    plan=Plan(),
    settings=RoundSettings(goal=10),
    checkpoint=CHECKPOINT,
    current=ROUND,
    committed=1,
)


def console(shown: io.StringIO) -> Console:
    return Console(file=shown, width=80, force_terminal=False)


def test_the_history_fits_80_columns() -> None:
    shown = io.StringIO()
    history = TaskHistory(task=TASK, rounds=(ROUND,), checkpoints=(CHECKPOINT,))
    show_history(history, console(shown))
    text = shown.getvalue()
    assert "…" not in text
    assert text.splitlines()[-1].split() == [
        "1", "committed", "13", "10", "2", "1", "0", "123,456", "0.1234", "8.0",
    ]  # fmt: skip


def test_an_abandoned_attempt_says_why() -> None:
    shown = io.StringIO()
    again = msgspec.structs.replace(
        ROUND, attempt=2, phase=RoundPhase.ABANDONED, reason="too_few_reports"
    )
    show_history(TaskHistory(task=TASK, rounds=(again,), checkpoints=()), console(shown))
    assert shown.getvalue().splitlines()[-1] == "1.2 was abandoned: too_few_reports"


def test_tasks_fit_80_columns() -> None:
    shown = io.StringIO()
    show_tasks(TaskList(tasks=(TASK,)), console(shown))
    text = shown.getvalue()
    assert "…" not in text
    assert "1 (abababababab)" in text


def test_a_server_without_tasks_says_so() -> None:
    shown = io.StringIO()
    show_tasks(TaskList(tasks=()), console(shown))
    assert shown.getvalue() == "there are no tasks\n"
