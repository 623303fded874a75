"""How each delta is encoded; all before were float32."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("assignments", "updates", "contributions"):
        with op.batch_alter_table(table) as batch:
            column = sa.Column(
                "codec", sa.String(length=32), nullable=False, server_default="float32"
            )
            batch.add_column(column)
