"""The questions of every request, built once: building one costs more than asking it."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from .. import rounds as machine
from ..tables import assignments, checkpoints, devices, rounds, tasks, updates

OPEN_STATES = sorted(machine.OPEN_STATES)
OPEN_PHASES = sorted(machine.OPEN_PHASES)
FINAL_PHASES = sorted(machine.FINAL_PHASES)

DEVICE_WITH_TOKEN = select(devices.c.id, devices.c.token_sha256).where(
    devices.c.token_sha256 == bindparam("token_sha256")
)
TASK = select(tasks).where(tasks.c.id == bindparam("task_id"))
TASKS_OF = (
    select(tasks).where(tasks.c.population == bindparam("population")).order_by(tasks.c.id.desc())
)
NEWEST_CHECKPOINT = (
    select(checkpoints)
    .where(checkpoints.c.task_id == bindparam("task_id"))
    .order_by(checkpoints.c.version.desc())
    .limit(1)
)
ROUND = select(rounds).where(rounds.c.id == bindparam("round_id"))
UNDER_WAY = select(rounds).where(rounds.c.phase.not_in(FINAL_PHASES)).order_by(rounds.c.id)
CURRENT_ROUND = UNDER_WAY.where(rounds.c.task_id == bindparam("task_id"))
ASSIGNMENT = select(assignments).where(assignments.c.id == bindparam("assignment_id"))
HELD_PLACES = (
    select(assignments)
    .join(rounds, assignments.c.round_id == rounds.c.id)
    .where(assignments.c.state.in_(OPEN_STATES), rounds.c.phase.in_(OPEN_PHASES))
)
OPEN_ASSIGNMENT = (
    HELD_PLACES.join(tasks, rounds.c.task_id == tasks.c.id)
    .where(
        assignments.c.device_id == bindparam("device_id"),
        assignments.c.ends_at > bindparam("now"),
        tasks.c.population == bindparam("population"),
    )
    .limit(1)
)
TOOK_PART = select(assignments.c.id).where(
    assignments.c.round_id == bindparam("round_id"),
    assignments.c.device_id == bindparam("device_id"),
)
OF_TASK_SINCE = (rounds.c.task_id == bindparam("task_id")) & (rounds.c.id >= bindparam("since"))
COUNT_STATES = (
    select(assignments.c.round_id, assignments.c.state, func.count().label("places"))
    .join(rounds, assignments.c.round_id == rounds.c.id)
    .where(OF_TASK_SINCE)
    .group_by(assignments.c.round_id, assignments.c.state)
)
SUM_UPDATES = (
    select(
        updates.c.round_id,
        func.sum(updates.c.num_examples).label("num_examples"),
        func.sum(updates.c.bytes).label("bytes"),
        func.sum(updates.c.loss * updates.c.num_examples).label("loss"),
        func.sum(updates.c.num_examples).filter(updates.c.loss.is_not(None)).label("with_loss"),
    )
    .join(rounds, updates.c.round_id == rounds.c.id)
    .where(OF_TASK_SINCE)
    .group_by(updates.c.round_id)
)

# Updates of closed rounds whose bytes are still on disk.
SPENT_UPDATES = (
    select(updates.c.assignment_id, updates.c.sha256)
    .join(rounds, updates.c.round_id == rounds.c.id)
    .where(updates.c.is_stored, rounds.c.phase.in_(FINAL_PHASES))
)
