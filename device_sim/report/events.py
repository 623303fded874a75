"""Events for TensorBoard: the run and each baseline as curves against rounds.

The wall time of an event is that of the fleet's clock, so TensorBoard's relative time is the run's.
They are written with tensorboardX, which needs no TensorFlow; TensorBoard's own writer loads
TensorFlow wherever that is installed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from ..following.monitor import RoundRow
from .baselines import Baseline, BaselinePoint
from .rows import check_ins_of

MISSING = (
    "TensorBoard events were not written, for tensorboardX is not installed: "
    "pip install 'pocketfed[tensorboard]'"
)
_Event = tuple[int, float, Mapping[str, float | None]]


def write_events(folder: Path, rows: Sequence[RoundRow], baselines: Sequence[Baseline]) -> bool:
    """Writes ``folder/run`` and a folder for each baseline; False without tensorboardX."""
    shutil.rmtree(folder, ignore_errors=True)
    if find_spec("tensorboardX") is None:
        return False
    _write(folder / "run", _of_rows(rows))
    for one in baselines:
        _write(folder / one.kind, map(_of_point, one.points))
    return True


def _write(folder: Path, events: Iterator[_Event]) -> None:
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for round_, seconds, values in events:
            for tag, value in values.items():
                if value is not None:
                    writer.add_scalar(tag, value, round_, seconds)


def _of_rows(rows: Sequence[RoundRow]) -> Iterator[_Event]:
    for row, check_ins in zip(rows, check_ins_of(rows), strict=True):
        yield row.round, row.seconds, _values(row, check_ins)


def _values(row: RoundRow, check_ins: int) -> Mapping[str, float | None]:
    return {
        "accuracy": row.accuracy,
        "loss": row.loss,
        "train/loss": row.train_loss,
        "phones/accuracy": row.phones_accuracy,
        "phones/loss": row.phones_loss,
        "bytes/up": row.standing.bytes_up,
        "bytes/down": row.standing.bytes_down,
        "cohort/accepted": row.accepted,
        "cohort/late": row.late,
        "cohort/dropped": row.dropped,
        "cohort/newcomers": row.newcomers,
        "cohort/examples": row.num_examples,
        "cohort/staleness": row.staleness,
        "phones/distinct": row.standing.distinct,
        "check_ins": check_ins,
        "check_ins_per_report": check_ins / row.accepted if row.accepted else None,
    }


def _of_point(point: BaselinePoint) -> _Event:
    values = {
        "accuracy": point.accuracy,
        "loss": point.loss,
        "bytes/up": point.bytes_up,
        "bytes/down": point.bytes_down,
    }
    return point.round, point.seconds or 0.0, values
