"""Succession: what follows a round that trains, and what becomes of the places it leaves.

The places of a round end with it. Those of a buffer do not: whoever holds one delivers into the
buffer that fills when the update comes, as long as its version is not too far behind.
"""

from __future__ import annotations

from ...protocol.admin import TaskStatus
from ...protocol.messages import AssignmentState
from ..states import places, rounds
from ..states.rounds import Round
from ..store import Task, Writing


def go_on(tx: Writing, committed: Round, task: Task, *, now: float) -> None:
    """Opens the round after a committed one, or finishes a task that has all it wants."""
    wanted = task.message.settings.rounds
    if wanted is not None and committed.number >= wanted:
        tx.set_status(task.id, TaskStatus.FINISHED, now=now)
        return
    following = rounds.opening(
        task.id,
        task.message.settings,
        number=committed.number + 1,
        attempt=1,
        base_version=committed.base_version + 1,
        now=now,
    )
    _succeed(tx, committed, following, now=now)


def attempt_again(tx: Writing, abandoned: Round, task: Task, *, now: float) -> None:
    """Opens the next attempt at a round, on the same checkpoint."""
    again = rounds.opening(
        task.id,
        task.message.settings,
        number=abandoned.number,
        attempt=abandoned.attempt + 1,
        base_version=abandoned.base_version,
        now=now,
    )
    _succeed(tx, abandoned, again, now=now)


def _succeed(tx: Writing, ended: Round, following: Round, *, now: float) -> None:
    opened = tx.add_round(following)
    if not ended.is_buffer:
        return
    for held in tx.open_places(ended.id):
        after = places.on_succession(held, opened)
        if after.state is AssignmentState.LATE:
            tx.move_assignment(held, after, now=now)
    tx.hand_over(ended.id, to=opened.id)
