"""Evaluation rounds: when a version is measured by devices, and what comes of it.

They run beside training and never hold it up. One is under way at a time; when it ends, the newest
version that is due is next, so versions that came too fast are passed over.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...protocol.admin import EvaluationSource, RoundPhase
from ...protocol.plan import RoundKind
from ..states import places, rounds
from ..states.rounds import AbandonReason, Round
from ..store import Task, Writing
from .measurements import weighted_means

FRUITLESS_ATTEMPTS = 3


def open_due(tx: Writing, task: Task, *, now: float) -> None:
    """Opens a round on the newest version that is due, unless it is measured or one is under way.

    So an abandoned round is attempted again only while no newer version is due, and a version of
    which the devices of ``FRUITLESS_ATTEMPTS`` rounds had nothing in common is given up.
    """
    settings = task.message.settings
    newest = tx.newest_checkpoint(task.id).version
    version = settings.evaluation.due(newest) if settings.evaluation else 0
    if not version or tx.current_round(task.id, RoundKind.EVALUATE) is not None:
        return
    attempts = [one for one in tx.rounds(task.id, RoundKind.EVALUATE) if one.number == version]
    if _is_settled(attempts):
        return
    tx.add_round(
        rounds.opening(
            task.id,
            settings,
            kind=RoundKind.EVALUATE,
            number=version,
            attempt=len(attempts) + 1,
            base_version=version,
            now=now,
        )
    )


def _is_settled(attempts: Sequence[Round]) -> bool:
    """Whether a version is measured, or was tried in vain often enough."""
    reasons = [one.reason for one in attempts]
    is_hopeless = reasons.count(AbandonReason.NOTHING_IN_COMMON) >= FRUITLESS_ATTEMPTS
    return is_hopeless or any(one.phase is RoundPhase.COMMITTED for one in attempts)


def conclude(tx: Writing, claimed: Round, *, now: float) -> None:
    """Averages what the devices of a round have measured, and ends it."""
    held = tx.measured(claimed.id)
    reports = [one.report for one in held if one.report is not None]
    means = weighted_means(reports, minimum=claimed.minimum)
    if means:
        tx.put_evaluation(
            task_id=claimed.task_id,
            version=claimed.base_version,
            source=EvaluationSource.PHONES,
            means=means,
            now=now,
        )
        for one in held:
            tx.move_assignment(one, places.on_fold(one), now=now)
        tx.move_round(claimed, rounds.on_commit(claimed, now=now), now=now)
    else:
        abandoned = rounds.on_abandon(claimed, AbandonReason.NOTHING_IN_COMMON, now=now)
        tx.move_round(claimed, abandoned, now=now)
    open_due(tx, tx.task(claimed.task_id), now=now)
