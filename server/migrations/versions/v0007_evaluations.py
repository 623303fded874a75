"""Rounds that evaluate, what was measured, and checkpoints that know their parents."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _kinds()
    _parents()
    _turns()
    _evaluations()


def _checks() -> tuple[sa.CheckConstraint, ...]:
    """A table that SQLite rebuilds keeps the checks that are named here, and no others."""
    return (
        sa.CheckConstraint("accepted BETWEEN 0 AND assigned", name=op.f("ck_rounds_updates")),
        sa.CheckConstraint("assigned BETWEEN 0 AND capacity", name=op.f("ck_rounds_places")),
    )


def _kinds() -> None:
    under_way = sa.text("phase NOT IN ('committed', 'abandoned')")
    op.drop_index("ix_rounds_one_under_way", "rounds")
    with op.batch_alter_table("rounds", table_args=_checks()) as batch:
        kind = sa.Column("kind", sa.String(length=16), nullable=False, server_default="train")
        batch.add_column(kind)
        batch.drop_constraint(op.f("uq_rounds_task_id_number_attempt"), type_="unique")
        batch.create_unique_constraint(
            op.f("uq_rounds_task_id_kind_number_attempt"), ["task_id", "kind", "number", "attempt"]
        )
    op.create_index(
        "ix_rounds_one_under_way",
        "rounds",
        ["task_id", "kind"],
        unique=True,
        sqlite_where=under_way,
        postgresql_where=under_way,
    )


def _parents() -> None:
    op.add_column("checkpoints", sa.Column("parent", sa.Integer(), nullable=True))
    op.add_column("checkpoints", sa.Column("rolled_back_from", sa.Integer(), nullable=True))
    op.execute("UPDATE checkpoints SET parent = version - 1 WHERE version > 0")


def _turns() -> None:
    turn = sa.Column("last_turn", sa.Integer(), nullable=False, server_default="0")
    op.add_column("tasks", turn)


def _evaluations() -> None:
    op.create_table(
        "evaluations",
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("metric", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("num_examples", sa.Integer(), nullable=False),
        sa.Column("devices", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_evaluations_task_id")),
        sa.PrimaryKeyConstraint(
            "task_id", "version", "source", "metric", name=op.f("pk_evaluations")
        ),
    )
