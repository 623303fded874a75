"""What a person sees fits a terminal of 80 columns, whole words only."""

import io

import msgspec
from pocketfed.cli.tables import (
    show_cost,
    show_evaluations,
    show_funnel,
    show_history,
    show_tasks,
    show_verification,
)
from pocketfed.model_export import Check, Verification
from pocketfed.protocol.admin import (
    CheckpointSummary,
    Evaluation,
    EvaluationSource,
    Funnel,
    FunnelStage,
    FunnelStep,
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


def test_a_funnel_says_how_many_went_on_and_why_others_did_not() -> None:
    shown = io.StringIO()
    steps = (
        FunnelStep(stage=FunnelStage.CHECKED_IN, reached=2000, lost={"round_full": 500}),
        FunnelStep(stage=FunnelStage.ASSIGNED, reached=1500, waiting=1, lost={"late": 2}),
    )
    funnel = Funnel(
        task="digits",
        population="demo",
        since=0.0,
        until=1.0,
        steps=steps,
        refused={"spec_mismatch": 3},
    )
    show_funnel(funnel, console(shown))
    lines = [line.split() for line in shown.getvalue().splitlines()]
    assert lines[1:] == [
        ["checked", "in", "2,000", "100%", "0", "500", "round", "full", "500"],
        ["assigned", "1,500", "75%", "1", "2", "late", "2"],
        ["uploads", "refused:", "spec", "mismatch", "3"],
    ]


def test_a_funnel_shows_the_devices_that_measure_apart() -> None:
    shown = io.StringIO()
    funnel = Funnel(
        task="digits",
        population="demo",
        since=0.0,
        until=1.0,
        steps=(FunnelStep(stage=FunnelStage.CHECKED_IN, reached=0),),
        evaluation_steps=(
            FunnelStep(stage=FunnelStage.ASSIGNED, reached=4, waiting=1),
            FunnelStep(stage=FunnelStage.REPORTED, reached=3, waiting=3),
        ),
    )
    show_funnel(funnel, console(shown))
    lines = [line.split() for line in shown.getvalue().splitlines()]
    assert lines[2] == ["devices", "that", "measure:"]
    assert lines[4:] == [["assigned", "4", "100%", "1", "0"], ["reported", "3", "75%", "3", "0"]]


def test_a_funnel_that_nobody_entered_has_no_shares() -> None:
    shown = io.StringIO()
    step = FunnelStep(stage=FunnelStage.CHECKED_IN, reached=0)
    empty = Funnel(task="digits", population="demo", since=0.0, until=1.0, steps=(step,))
    show_funnel(empty, console(shown))
    assert shown.getvalue().splitlines()[1].split() == ["checked", "in", "0", "0", "0"]


def test_the_history_fits_80_columns() -> None:
    shown = io.StringIO()
    history = TaskHistory(task=TASK, rounds=(ROUND,), checkpoints=(CHECKPOINT,))
    show_history(history, console(shown))
    text = shown.getvalue()
    assert "…" not in text
    assert text.splitlines()[-1].split() == [
        "1", "committed", "13", "10", "2", "1", "0", "123,456", "0.1234", "8.0",
    ]  # fmt: skip


def evaluation(version: int, source: EvaluationSource, **metrics: float) -> Evaluation:
    devices = 3 if source is EvaluationSource.PHONES else 0
    return Evaluation(
        version=version, source=source, num_examples=1500, devices=devices, metrics=metrics, at=0.0
    )


def test_the_history_shows_the_newest_that_each_has_measured() -> None:
    shown = io.StringIO()
    known = (
        evaluation(1, EvaluationSource.OPERATOR, loss=0.75, accuracy=0.5),
        evaluation(1, EvaluationSource.PHONES, loss=0.5),
        evaluation(2, EvaluationSource.OPERATOR, loss=0.25, accuracy=0.75),
    )
    history = TaskHistory(task=TASK, rounds=(), checkpoints=(CHECKPOINT,), evaluations=known)
    show_history(history, console(shown))
    lines = [line for line in shown.getvalue().splitlines() if line.startswith("checkpoint")]
    assert lines == [
        "checkpoint 2: accuracy 0.7500, loss 0.2500 on 1,500 examples of the operator",
        "checkpoint 1: loss 0.5000 on 1,500 examples of 3 devices",
    ]


def test_the_history_says_where_a_roll_back_came_from() -> None:
    shown = io.StringIO()
    newest = msgspec.structs.replace(CHECKPOINT, version=5, parent=2, rolled_back_from=4)
    task = msgspec.structs.replace(TASK, checkpoint=newest)
    show_history(TaskHistory(task=task, rounds=(), checkpoints=(newest,)), console(shown))
    assert "checkpoint 5 has the weights of 2, rolled back from 4" in shown.getvalue()


def test_evaluations_are_a_line_a_version_and_a_column_a_metric() -> None:
    shown = io.StringIO()
    known = [
        evaluation(1, EvaluationSource.OPERATOR, loss=0.75),
        evaluation(2, EvaluationSource.OPERATOR, loss=0.25, accuracy=0.75),
    ]
    show_evaluations(known, console(shown))
    assert [line.split() for line in shown.getvalue().splitlines()] == [
        ["checkpoint", "accuracy", "loss", "examples"],
        ["1", "0.7500", "1,500"],
        ["2", "0.7500", "0.2500", "1,500"],
    ]


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


OPS = {
    "ADD": 7, "SUB": 300, "MUL": 1200, "ASSIGN_VARIABLE": 18, "READ_VARIABLE": 36, "RESHAPE": 36,
}  # fmt: skip
MEASURED = {
    "model_bytes": 811_248.0,
    "weights_bytes": 796_840.0,
    "train_ms_per_step": 0.2971,
    "compiled_train_ms_per_step": 12.345,
    "evaluate_ms_per_batch": 0.0608,
    "peak_rss_mib": 1411.6,
}


def test_the_cost_names_the_most_frequent_operators_and_every_figure_with_its_unit() -> None:
    shown = io.StringIO()
    show_cost(OPS, MEASURED, console(shown))
    lines = [line.strip() for line in shown.getvalue().splitlines()]
    assert lines == [
        "cost",
        "operators                 1,597: MUL×1,200, SUB×300, READ_VARIABLE×36,",
        "RESHAPE×36, ASSIGN_VARIABLE×18, …",
        "model                     811,248 bytes, 1.02 times the weights",
        "train step, Interpreter   0.297 ms",
        "train step, CompiledModel 12.3 ms",
        "evaluate batch            0.0608 ms",
        "peak memory               1,412 MiB over base",
    ]


def test_the_cost_leaves_out_what_was_not_measured() -> None:
    shown = io.StringIO()
    show_cost({"ADD": 2}, {"model_bytes": 8.0}, console(shown))
    assert [line.split() for line in shown.getvalue().splitlines()] == [
        ["cost"],
        ["operators", "2:", "ADD×2"],
        ["model", "8", "bytes"],
    ]


def test_checks_stand_under_the_runtime_they_were_made_on() -> None:
    shown = io.StringIO()
    checks = (
        Check("ops no phone has", 0.0),
        Check("weights that reset_optimizer does not repeat", 0.0, runtime="Interpreter"),
        Check("weights after 10 steps", 1.234567e-05, 1e-06, runtime="CompiledModel"),
        Check("losses of 10 steps", 0.0, 1e-06, runtime="CompiledModel"),
    )
    show_verification(Verification(checks, MEASURED, OPS), console(shown))
    lines = [line.strip() for line in shown.getvalue().splitlines()]
    assert lines[:7] == [
        "check                                        measured    limit",
        "ops no phone has                             0           0     ok",
        "on LiteRT's Interpreter",
        "weights that reset_optimizer does not repeat 0           0     ok",
        "on LiteRT's CompiledModel",
        "weights after 10 steps                       1.23457e-05 1e-06 failed",
        "losses of 10 steps                           0           1e-06 ok",
    ]
    assert lines[7:9] == ["", "cost"]
