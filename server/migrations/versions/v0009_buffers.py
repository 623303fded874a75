"""Rounds that are buffers: places remember their version, updates how far they are behind."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rounds", sa.Column("concurrency", sa.Integer(), nullable=True))
    op.add_column("rounds", sa.Column("max_staleness", sa.Integer(), nullable=True))
    _add_count("assignments", "base_version")
    _add_count("updates", "staleness")
    _add_count("contributions", "staleness")
    op.execute(
        "UPDATE assignments SET base_version ="
        " coalesce((SELECT rounds.base_version FROM rounds"
        " WHERE rounds.id = assignments.round_id), 0)"
    )


def _add_count(table: str, name: str) -> None:
    op.add_column(table, sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
