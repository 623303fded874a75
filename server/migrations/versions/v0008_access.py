"""Tokens end and can be revoked, devices are counted, senders are limited."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _devices()
    _assignments()
    op.create_table(
        "visits",
        sa.Column("population", sa.String(length=64), nullable=False),
        sa.Column("device_id", sa.String(length=32), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_visits_device_id_devices")
        ),
        sa.PrimaryKeyConstraint("population", "device_id", name=op.f("pk_visits")),
    )
    op.create_index(op.f("ix_visits_population_seen_at"), "visits", ["population", "seen_at"])
    op.create_table(
        "buckets",
        sa.Column("sender", sa.String(length=80), nullable=False),
        sa.Column("tokens", sa.Float(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("sender", name=op.f("pk_buckets")),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )


def _devices() -> None:
    op.add_column("devices", sa.Column("expires_at", sa.Float()))
    op.add_column("devices", sa.Column("revoked_at", sa.Float()))
    op.add_column("devices", sa.Column("attested_by", sa.String(length=32)))
    op.add_column("devices", sa.Column("key_sha256", sa.String(length=64)))
    op.add_column("devices", sa.Column("enrolment_sha256", sa.String(length=64)))
    op.add_column("devices", sa.Column("challenge_sha256", sa.String(length=64)))
    # Unique indexes and not constraints: SQLite adds those to a table that has rows.
    for name in ("key_sha256", "challenge_sha256"):
        op.create_index(op.f(f"ix_devices_{name}"), "devices", [name], unique=True)


def _assignments() -> None:
    op.add_column("assignments", sa.Column("check_in_key", sa.String(length=64)))
    op.create_index(
        op.f("ix_assignments_device_id_check_in_key"),
        "assignments",
        ["device_id", "check_in_key"],
        unique=True,
    )
