"""What a person sees of artifacts and tasks: tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from ..protocol.admin import (
    DeviceSummary,
    Evaluation,
    Funnel,
    FunnelStep,
    RoundSummary,
    TaskHistory,
    TaskList,
)

if TYPE_CHECKING:
    from ..model_export import Verification
    from ..server.operating.audit import Finding

WIDE = 120  # columns, where nobody looks at a terminal
KINDS_SHOWN = 5
_FIGURES = (
    ("train_ms_per_step", "train step, Interpreter", "ms"),
    ("compiled_train_ms_per_step", "train step, CompiledModel", "ms"),
    ("evaluate_ms_per_batch", "evaluate batch", "ms"),
    ("peak_rss_mib", "peak memory", "MiB over base"),
)
_NUMBERS = ("assigned", "accepted", "late", "dropped", "failed")


def show_verification(verification: Verification, console: Console | None = None) -> None:
    """One line a check, under the runtime it was made on, then what was measured."""
    console = console or _console()
    table = _table("check", "measured", "limit", "")
    runtime = ""
    for check in verification.checks:
        if check.runtime != runtime:
            runtime = check.runtime
            table.add_row(f"[bold]on LiteRT's {runtime}[/]")
        verdict = "[green]ok[/]" if check.passed else "[red]failed[/]"
        table.add_row(check.name, f"{check.measured:.6g}", f"{check.limit:.6g}", verdict)
    console.print(table)
    console.print()
    show_cost(verification.ops, verification.measured, console)


def show_cost(
    ops: Mapping[str, int], measured: Mapping[str, float], console: Console | None = None
) -> None:
    """What a model is made of and costs, in as many lines as are known."""
    table = _table("cost", "")
    table.add_row("operators", _most_frequent(ops))
    for label, figure in _figures(measured):
        table.add_row(label, figure)
    (console or _console()).print(table, highlight=False)


def show_tasks(tasks: TaskList, console: Console | None = None) -> None:
    """One line a task."""
    table = _table("task", "population", "status", "checkpoint", "round", "accepted")
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
    (console or _console()).print(table if tasks.tasks else "there are no tasks")


def show_device(device: DeviceSummary, console: Console | None = None) -> None:
    """What is known of a device, a line each."""
    table = Table(show_header=False, box=None)
    for name, value in {
        "device": device.device_id,
        "client": device.client_version,
        "attested by": device.attested_by or "nobody",
        "enrolled": _instant(device.enrolled_at),
        "token until": _instant(device.expires_at),
        "sent away": _instant(device.revoked_at),
    }.items():
        table.add_row(name, value)
    (console or _console()).print(table)


def show_history(history: TaskHistory, console: Console | None = None) -> None:
    """A task's facts, then one line an attempt."""
    console = console or _console()
    task = history.task
    console.print(
        f"{task.name} is {task.status} for the population {task.population}; "
        f"checkpoint {task.checkpoint.version} is {task.checkpoint.sha256}",
        soft_wrap=True,
        highlight=False,
    )
    settings = task.settings
    console.print(
        f"goal {settings.goal}, minimum {settings.minimum}, capacity {settings.capacity}; "
        f"E={task.plan.epochs}, B={task.plan.batch_size}, lr={task.plan.learning_rate:g}",
        highlight=False,
    )
    if settings.buffer is not None:
        console.print(
            f"a buffer of {settings.goal} for {settings.buffer.concurrency} devices at a time, "
            f"at most {settings.buffer.max_staleness} versions behind",
            highlight=False,
        )
    for line in _evaluation_lines(history):
        console.print(line, highlight=False)
    stale = ["behind"] if settings.buffer else []
    table = _table("round", "phase", *_NUMBERS, "examples", "loss", "MB up", *stale)
    for column in table.columns[2:]:
        column.justify = "right"
    for round_ in history.rounds:
        behind = "" if round_.mean_staleness is None else f"{round_.mean_staleness:.2f}"
        table.add_row(*_cells(round_), *([behind] if stale else []))
    console.print(table)
    for round_ in history.rounds:
        if round_.reason:
            console.print(f"{_label(round_)} was {round_.phase}: {round_.reason}", highlight=False)


def show_audit(findings: Sequence[Finding], console: Console | None = None) -> None:
    """One line an invariant, then one each violation."""
    console = console or _console()
    table = _table("", "invariant", "looked at", "count", "violations")
    for column in table.columns[3:]:
        column.justify = "right"
    for finding in findings:
        one = finding.invariant
        found = str(len(finding.violations)) if finding.violations else "[green]none[/]"
        table.add_row(f"({one.letter})", one.claim, one.looked_at, f"{finding.count:,}", found)
    console.print(table)
    for finding in findings:
        for violation in finding.violations:
            line = f"({finding.invariant.letter}) {violation}"
            console.print(line, soft_wrap=True, highlight=False, markup=False)


def show_funnel(funnel: Funnel, console: Console | None = None) -> None:
    """One line a step of training and of measuring, and why devices and uploads went no further."""
    console = console or _console()
    console.print(_funnel_table(funnel.steps))
    if funnel.evaluation_steps:
        console.print("devices that measure:")
        console.print(_funnel_table(funnel.evaluation_steps))
    if funnel.refused:
        console.print(f"uploads refused: {_listed(funnel.refused)}", highlight=False)


def _funnel_table(steps: Sequence[FunnelStep]) -> Table:
    table = _table("step", "devices", "of all", "waiting", "lost", "why")
    for column in table.columns[1:5]:
        column.justify = "right"
    all_ = steps[0].reached
    for step in steps:
        share = f"{step.reached / all_:.0%}" if all_ else ""
        counts = (step.reached, step.waiting, sum(step.lost.values()))
        reached, waiting, lost = (f"{number:,}" for number in counts)
        name = step.stage.replace("_", " ")
        table.add_row(name, reached, share, waiting, lost, _listed(step.lost))
    return table


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items())


def show_evaluations(evaluations: Sequence[Evaluation], console: Console | None = None) -> None:
    """One line a version, one column a metric."""
    names = sorted({name for one in evaluations for name in one.metrics})
    table = _table("checkpoint", *names, "examples")
    for column in table.columns:
        column.justify = "right"
    for one in evaluations:
        values = (one.metrics.get(name) for name in names)
        cells = ("" if value is None else f"{value:.4f}" for value in values)
        table.add_row(str(one.version), *cells, f"{one.num_examples:,}")
    (console or _console()).print(table if evaluations else "every checkpoint is measured already")


def _evaluation_lines(history: TaskHistory) -> Iterator[str]:
    """The newest that each source has measured, and where the newest weights came from."""
    newest = {one.source: one for one in history.evaluations}
    for one in newest.values():
        values = ", ".join(f"{name} {value:.4f}" for name, value in sorted(one.metrics.items()))
        by = f"{one.devices} devices" if one.devices else f"the {one.source}"
        yield f"checkpoint {one.version}: {values} on {one.num_examples:,} examples of {by}"
    checkpoint = history.task.checkpoint
    if checkpoint.rolled_back_from is not None:
        yield (
            f"checkpoint {checkpoint.version} has the weights of {checkpoint.parent}, "
            f"rolled back from {checkpoint.rolled_back_from}"
        )


def _most_frequent(ops: Mapping[str, int]) -> str:
    ordered = sorted(ops.items(), key=lambda item: (-item[1], item[0]))
    kinds = ", ".join(f"{name}×{count:,}" for name, count in ordered[:KINDS_SHOWN])
    rest = ", …" if len(ordered) > KINDS_SHOWN else ""
    return f"{sum(ops.values()):,}: {kinds}{rest}"


def _figures(measured: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Label and text of each figure that is there, with its unit."""
    model, weights = measured.get("model_bytes"), measured.get("weights_bytes")
    if model is not None:
        ratio = f", {model / weights:.2f} times the weights" if weights else ""
        yield "model", f"{model:,.0f} bytes{ratio}"
    for name, label, unit in _FIGURES:
        if name in measured:
            value = measured[name]
            yield label, f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _table(*headers: str) -> Table:
    """Columns a space apart; what does not fit is folded, never cut."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=WIDE)


def _cells(round_: RoundSummary) -> list[str]:
    loss = "" if round_.train_loss is None else f"{round_.train_loss:.4f}"
    return [
        _label(round_),
        str(round_.phase),
        *(str(getattr(round_, name)) for name in _NUMBERS),
        f"{round_.num_examples:,}",
        loss,
        f"{round_.bytes_up / 1e6:.1f}",
    ]


def _label(round_: RoundSummary) -> str:
    """The round's number, and behind a dot the attempt if it is not the first."""
    return str(round_.round) if round_.attempt == 1 else f"{round_.round}.{round_.attempt}"


def _instant(at: float | None) -> str:
    if at is None:
        return "-"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
