"""The tables. Instants are seconds of the server's clock, enumerations are their words."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

devices = Table(
    "devices",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("client_version", Text, nullable=False),
    Column("enrolled_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Column("attested_by", String(32)),
    # SHA-256 of the Idempotency-Key it enrolled with, and of what it said then.
    Column("key_sha256", String(64)),
    Column("enrolment_sha256", String(64)),
    # A challenge is answered once.
    Column("challenge_sha256", String(64)),
    Index(None, "key_sha256", unique=True),
    Index(None, "challenge_sha256", unique=True),
)

# When a device last checked in for a population.
visits = Table(
    "visits",
    metadata,
    Column("population", String(64), primary_key=True),
    Column("device_id", ForeignKey("devices.id"), primary_key=True),
    Column("seen_at", Float, nullable=False),
    Index(None, "population", "seen_at"),
)

# What each sender may still ask; see ``limits``.
buckets = Table(
    "buckets",
    metadata,
    Column("sender", String(80), primary_key=True),
    Column("tokens", Float, nullable=False),
    Column("at", Float, nullable=False),
)

# What the server signs with, shared by all its processes.
secrets = Table(
    "secrets",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", String(64), nullable=False),
)

# What an operator has put; an update of a device is never in here.
deposits = Table(
    "deposits",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("bytes", Integer, nullable=False),
    Column("put_at", Float, nullable=False),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("population", String(64), nullable=False, index=True),
    Column("message", Text, nullable=False),
    Column("model_sha256", ForeignKey("deposits.sha256"), nullable=False),
    Column("model_bytes", Integer, nullable=False),
    Column("manifest_sha256", ForeignKey("deposits.sha256"), nullable=False),
    Column("manifest_bytes", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_turn", Integer, nullable=False, server_default="0"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("task_id", ForeignKey("tasks.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("bytes", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    # What the server optimizer keeps between rounds; null if that is nothing.
    Column("state_sha256", String(64)),
    Column("parent", Integer),
    Column("rolled_back_from", Integer),
    UniqueConstraint("task_id", "version"),
)

rounds = Table(
    "rounds",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("task_id", ForeignKey("tasks.id"), nullable=False),
    Column("kind", String(16), nullable=False, server_default="train"),
    Column("number", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("base_version", Integer, nullable=False),
    Column("phase", String(16), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("reason", String(32)),
    Column("goal", Integer, nullable=False),
    Column("minimum", Integer, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("selection_timeout_s", Float, nullable=False),
    Column("report_timeout_s", Float, nullable=False),
    Column("assigned", Integer, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("selection_ends_at", Float),
    Column("report_ends_at", Float),
    Column("opened_at", Float, nullable=False),
    Column("closed_at", Float),
    # Those of a buffer; null where there is none.
    Column("concurrency", Integer),
    Column("max_staleness", Integer),
    UniqueConstraint("task_id", "kind", "number", "attempt"),
    CheckConstraint("assigned BETWEEN 0 AND capacity", name="places"),
    CheckConstraint("accepted BETWEEN 0 AND assigned", name="updates"),
)
# A task has one round of a kind under way, whatever the code above the database believes.
_UNDER_WAY = text("phase NOT IN ('committed', 'abandoned')")
Index(
    "ix_rounds_one_under_way",
    rounds.c.task_id,
    rounds.c.kind,
    unique=True,
    sqlite_where=_UNDER_WAY,
    postgresql_where=_UNDER_WAY,
)

# Which coordinator folds a round, and until when the others leave it alone.
leases = Table(
    "leases",
    metadata,
    Column("round_id", ForeignKey("rounds.id"), primary_key=True, autoincrement=False),
    Column("owner", String(64), nullable=False),
    Column("ends_at", Float, nullable=False),
)

# How good a checkpoint is, by who has measured it; a newer value takes the place of an older one.
evaluations = Table(
    "evaluations",
    metadata,
    Column("task_id", ForeignKey("tasks.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("source", String(16), primary_key=True),
    Column("metric", String(64), primary_key=True),
    Column("value", Float, nullable=False),
    Column("num_examples", Integer, nullable=False),
    Column("devices", Integer, nullable=False),
    Column("at", Float, nullable=False),
)

assignments = Table(
    "assignments",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("round_id", ForeignKey("rounds.id"), nullable=False),
    Column("device_id", ForeignKey("devices.id"), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(32)),
    Column("assigned_at", Float, nullable=False),
    Column("ends_at", Float, nullable=False),
    Column("report", Text),
    Column("check_in_key", String(64)),
    Column("codec", String(32), nullable=False, server_default="float32"),
    Column("base_version", Integer, nullable=False, server_default="0"),
    UniqueConstraint("round_id", "device_id"),
    Index(None, "device_id", "check_in_key", unique=True),
    Index(None, "state", "ends_at"),
)

# Exactly-once comes from this row: one update per device and round, however often it is sent.
updates = Table(
    "updates",
    metadata,
    Column("assignment_id", ForeignKey("assignments.id"), primary_key=True),
    Column("round_id", ForeignKey("rounds.id"), nullable=False),
    Column("device_id", ForeignKey("devices.id"), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("num_examples", Integer, nullable=False),
    Column("loss", Float),
    Column("accepted_at", Float, nullable=False),
    Column("is_stored", Boolean(create_constraint=False), nullable=False),
    Column("codec", String(32), nullable=False, server_default="float32"),
    Column("staleness", Integer, nullable=False, server_default="0"),
    UniqueConstraint("round_id", "device_id"),
    Index(None, "is_stored"),
    Index(None, "sha256"),
)

# Which updates a checkpoint was made of, with the weights they had.
contributions = Table(
    "contributions",
    metadata,
    Column("checkpoint_id", ForeignKey("checkpoints.id"), primary_key=True),
    Column("assignment_id", ForeignKey("updates.assignment_id"), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("num_examples", Integer, nullable=False),
    Column("codec", String(32), nullable=False, server_default="float32"),
    Column("staleness", Integer, nullable=False, server_default="0"),
)

# What no other row remembers: devices turned away, and updates refused. ``task`` is empty where no
# task was concerned.
sightings = Table(
    "sightings",
    metadata,
    Column("population", String(64), primary_key=True),
    Column("task", String(64), primary_key=True),
    Column("hour", Integer, primary_key=True),
    Column("outcome", String(64), primary_key=True),
    Column("devices", Integer, nullable=False),
)

# Append-only: every transition of a task, a round or an assignment.
history = Table(
    "history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("entity", String(16), nullable=False),
    Column("entity_id", String(32), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(32)),
    Column("at", Float, nullable=False),
    UniqueConstraint("entity", "entity_id", "seq"),
)
