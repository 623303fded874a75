"""Rows: the rounds of a run and the points of its baselines as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from ...protocol.messages import RejectionReason
from ..following.census import Standing
from ..following.monitor import RoundRow
from .baselines import Baseline

_OF_A_ROW = (
    "round",
    "attempt",
    "accuracy",
    "loss",
    "train_loss",
    "accepted",
    "late",
    "dropped",
    "num_examples",
    "bytes_up",
    "bytes_down",
    "seconds",
    "checkpoint",
    "phones_accuracy",
    "phones_loss",
    "bytes_model",
    "bytes_checkpoint",
    "bytes_update",
    "newcomers",
    "staleness",
)
_OF_A_POINT = ("round", "accuracy", "loss", "examples", "seconds", "bytes_up", "bytes_down")


def to_csv(rows: Sequence[RoundRow]) -> str:
    """One line per round: fields of RoundRow, then what was between two checkpoints."""
    return _written(_line(row, before) for row, before in _with_before(rows))


def baselines_to_csv(baselines: Sequence[Baseline]) -> str:
    """One line per evaluation of each baseline, fields of BaselinePoint."""
    return _written(
        {"baseline": one.kind, **{name: getattr(point, name) for name in _OF_A_POINT}}
        for one in baselines
        for point in one.points
    )


def check_ins_of(rows: Sequence[RoundRow]) -> list[int]:
    """The check-ins between each checkpoint and the one before."""
    return [row.standing.check_ins - before.check_ins for row, before in _with_before(rows)]


def _with_before(rows: Sequence[RoundRow]) -> list[tuple[RoundRow, Standing]]:
    before = [Standing(), *(row.standing for row in rows)]
    return list(zip(rows, before, strict=False))


def _line(row: RoundRow, before: Standing) -> dict[str, object]:
    now = row.standing
    check_ins = now.check_ins - before.check_ins
    reasons = {
        f"rejected_{reason}": now.turned_away.get(reason, 0) - before.turned_away.get(reason, 0)
        for reason in RejectionReason
    }
    return {
        **{name: getattr(row, name) for name in _OF_A_ROW},
        "hours": row.seconds / 3600.0,
        "check_ins": check_ins,
        "check_ins_per_report": check_ins / row.accepted if row.accepted else None,
        **reasons,
        "distinct_phones": now.distinct,
        "bytes_up_so_far": now.bytes_up,
        "bytes_down_so_far": now.bytes_down,
    }


def _written(lines: Iterable[dict[str, object]]) -> str:
    text, writer = io.StringIO(), None
    for line in lines:
        if writer is None:
            writer = csv.DictWriter(text, list(line), lineterminator="\n")
            writer.writeheader()
        writer.writerow(line)
    return text.getvalue()
