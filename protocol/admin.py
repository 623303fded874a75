"""The conversation of an operator with the server, one record per message."""

from __future__ import annotations

from enum import StrEnum

from .plan import Plan, RoundSettings
from .record import Count, Name, Positive, Record, Sha256
from .weights import WeightEntry


class TaskStatus(StrEnum):
    """Whether a task takes part in check-ins."""

    RUNNING = "running"
    STOPPED = "stopped"
    FINISHED = "finished"


class CreateTask(Record, frozen=True, kw_only=True):
    """A task over blobs that were uploaded before; names are unique."""

    name: Name
    population: Name
    plan: Plan = Plan()
    settings: RoundSettings = RoundSettings()
    spec: tuple[WeightEntry, ...]
    model_sha256: Sha256
    manifest_sha256: Sha256
    checkpoint_sha256: Sha256


class RoundPhase(StrEnum):
    """Where a round stands; the last two are final."""

    SELECTING = "selecting"
    REPORTING = "reporting"
    AGGREGATING = "aggregating"
    COMMITTED = "committed"
    ABANDONED = "abandoned"


class RoundSummary(Record, frozen=True, kw_only=True):
    """One attempt at one round: places given, what became of them, and what it cost.

    ``dropped`` counts the places that expired; a device that is silent when its round closes is
    counted in ``assigned`` alone. ``bytes_up`` are those of the accepted updates.
    """

    round: Positive
    attempt: Positive
    phase: RoundPhase
    reason: str | None = None
    goal: Positive
    minimum: Positive
    capacity: Positive
    assigned: Count = 0
    accepted: Count = 0
    late: Count = 0
    dropped: Count = 0
    failed: Count = 0
    num_examples: Count = 0
    train_loss: float | None = None
    bytes_up: Count = 0
    base_version: Count
    opened_at: float | None = None
    closed_at: float | None = None


class CheckpointSummary(Record, frozen=True, kw_only=True):
    """An immutable set of global weights; version 0 is the one the task began with."""

    version: Count
    sha256: Sha256
    bytes: Count
    url: str
    created_at: float


class TaskSummary(Record, frozen=True, kw_only=True):
    """A task, its newest checkpoint and the attempt that is under way (None once it has ended)."""

    name: Name
    population: Name
    status: TaskStatus
    plan: Plan
    settings: RoundSettings
    checkpoint: CheckpointSummary
    current: RoundSummary | None = None
    committed: Count = 0


class DeviceSummary(Record, frozen=True, kw_only=True):
    """What the server knows of one device; instants are of the server's clock."""

    device_id: str
    client_version: str
    enrolled_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    attested_by: str | None = None


class TaskList(Record, frozen=True, kw_only=True):
    tasks: tuple[TaskSummary, ...]


class TaskHistory(Record, frozen=True, kw_only=True):
    """Every attempt of a task in order, and every checkpoint."""

    task: TaskSummary
    rounds: tuple[RoundSummary, ...]
    checkpoints: tuple[CheckpointSummary, ...]
