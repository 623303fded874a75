"""Optimizers keep a state beside each checkpoint; a task names its aggregator and optimizer."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("checkpoints") as table:
        table.add_column(sa.Column("state_sha256", sa.String(length=64), nullable=True))
    _rewrite_tasks()


def _rewrite_tasks() -> None:
    """The server's learning rate becomes part of the server optimizer."""
    tasks = sa.table("tasks", sa.column("id", sa.Integer), sa.column("message", sa.Text))
    connection = op.get_bind()
    for row in connection.execute(sa.select(tasks.c.id, tasks.c.message)).all():
        message = json.loads(row.message)
        rate = message["settings"].pop("server_learning_rate", 1.0)
        message["settings"]["server_optimizer"] = {"kind": "sgd", "learning_rate": rate}
        changed = sa.update(tasks).where(tasks.c.id == row.id).values(message=json.dumps(message))
        connection.execute(changed)
