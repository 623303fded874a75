"""Evaluations: how good each version of a task is, by who has measured it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, insert, select

from ...protocol.admin import Evaluation, EvaluationSource
from ..coordination.measurements import Mean
from ..states.rounds import Round
from .connected import Connected, Historian
from .rounds import round_of_row
from .tables import evaluations
from .updates import COUNT_ACCEPTED


class EvaluationQuestions(Connected):
    def evaluations(self, task_id: int) -> list[Evaluation]:
        """What was measured of a task, by version and source."""
        query = select(evaluations).where(evaluations.c.task_id == task_id)
        rows = self._all(query.order_by(*evaluations.primary_key.columns))
        found = groupby(rows, key=attrgetter("version", "source"))
        return [_evaluation(list(group)) for _, group in found]

    def evaluation(self, task_id: int, version: int, source: EvaluationSource) -> Evaluation | None:
        """What one source has measured of one version."""
        query = select(evaluations).where(_of(task_id, version, source))
        rows = self._all(query.order_by(evaluations.c.metric))
        return _evaluation(rows) if rows else None


class EvaluationChanges(EvaluationQuestions, Historian):
    def count_measurement(self, round_id: int) -> Round:
        """Counts one more device that has measured the checkpoint of a round."""
        return round_of_row(self._the(COUNT_ACCEPTED, of_round=round_id))

    def put_evaluation(
        self,
        *,
        task_id: int,
        version: int,
        source: EvaluationSource,
        means: dict[str, Mean],
        now: float,
    ) -> Evaluation:
        """Keeps these values in the place of older ones of the same names; at least one."""
        of_them = _of(task_id, version, source)
        self._run(delete(evaluations).where(of_them, evaluations.c.metric.in_(sorted(means))))
        of = {"task_id": task_id, "version": version, "source": source, "at": now}
        rows = [{**of, "metric": name, **mean._asdict()} for name, mean in means.items()]
        self._connection.execute(insert(evaluations), rows)
        query = select(evaluations).where(of_them).order_by(evaluations.c.metric)
        return _evaluation(self._all(query))


def _of(task_id: int, version: int, source: EvaluationSource) -> ColumnElement[bool]:
    return and_(
        evaluations.c.task_id == task_id,
        evaluations.c.version == version,
        evaluations.c.source == source,
    )


def _evaluation(rows: Sequence[Row[Any]]) -> Evaluation:
    most = max(rows, key=attrgetter("devices", "num_examples"))
    return Evaluation(
        version=most.version,
        source=EvaluationSource(most.source),
        num_examples=most.num_examples,
        devices=most.devices,
        metrics={row.metric: row.value for row in rows},
        at=max(row.at for row in rows),
    )
