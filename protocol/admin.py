"""The conversation of an operator with the server, one record per message."""

from __future__ import annotations

from enum import StrEnum

from .messages import AssignmentState
from .plan import Plan, RoundKind, RoundSettings
from .record import Count, Metrics, Name, Positive, Record, Sha256
from .weights import WeightEntry


class TaskStatus(StrEnum):
    """Whether a task takes part in check-ins; the last two are final."""

    RUNNING = "running"
    PAUSED = "paused"
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
    counted in ``assigned`` alone. ``states`` counts all places by where they stand; ``bytes_up``
    are those of the accepted updates. Instants are the server's; ``ends_at`` is the deadline of the
    present phase, None while none runs. The number of an evaluation round is the version it
    measures. ``mean_staleness`` is how many versions the accepted updates of a buffer were behind,
    None without a buffer or an update; places that were still held when a buffer was committed are
    counted in the round that followed.
    """

    kind: RoundKind = RoundKind.TRAIN
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
    mean_staleness: float | None = None
    base_version: Count
    opened_at: float | None = None
    closed_at: float | None = None
    ends_at: float | None = None
    states: dict[AssignmentState, Count] = {}


class CheckpointSummary(Record, frozen=True, kw_only=True):
    """An immutable set of global weights; version 0 is the one the task began with.

    ``parent`` is the version it was made from. After a roll-back that is the one whose weights it
    has, and ``rolled_back_from`` the one that was left; otherwise this is None.
    """

    version: Count
    sha256: Sha256
    bytes: Count
    url: str
    created_at: float
    parent: Count | None = None
    rolled_back_from: Count | None = None


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


class RollBack(Record, frozen=True, kw_only=True):
    """Make the weights of ``version`` the newest again."""

    version: Count


class EvaluationSource(StrEnum):
    """Who has measured a checkpoint."""

    PHONES = "phones"
    OPERATOR = "operator"


class PostEvaluation(Record, frozen=True, kw_only=True):
    """What an operator has measured of a checkpoint, over ``num_examples`` examples."""

    version: Count
    num_examples: Positive
    metrics: Metrics

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError("metrics is empty, expected at least one name with its value")


class Evaluation(Record, frozen=True, kw_only=True):
    """How good one version is. Those of phones are means weighted by each phone's examples.

    A metric that only some of the phones have measured is the mean of theirs; ``num_examples`` and
    ``devices`` count the one that most have. ``devices`` is 0 for an operator's.
    """

    version: Count
    source: EvaluationSource
    num_examples: Count
    devices: Count
    metrics: Metrics
    at: float


class TaskHistory(Record, frozen=True, kw_only=True):
    """Every attempt of a task in order, every checkpoint, and what was measured of them.

    ``rounds`` are those that train; ``evaluation_rounds`` are in the order of their versions.
    """

    task: TaskSummary
    rounds: tuple[RoundSummary, ...]
    checkpoints: tuple[CheckpointSummary, ...]
    evaluation_rounds: tuple[RoundSummary, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()


class FunnelStage(StrEnum):
    """The steps from an offer to a checkpoint, in order."""

    CHECKED_IN = "checked_in"
    ASSIGNED = "assigned"
    REPORTED = "reported"
    UPLOADED = "uploaded"
    FOLDED = "folded"


class FunnelStep(Record, frozen=True, kw_only=True):
    """Of ``reached`` devices some are ``waiting`` and some are ``lost``; the rest went on.

    ``lost`` is reason -> devices. What the next step has reached is ``reached`` less the others.
    """

    stage: FunnelStage
    reached: Count
    waiting: Count = 0
    lost: dict[str, Count] = {}


class Funnel(Record, frozen=True, kw_only=True):
    """What became of the devices that checked in between two instants of the server's clock.

    ``steps`` are those of devices that train, ``evaluation_steps`` those of devices that measure:
    these begin with ``assigned``, know no ``uploaded``, and are empty when no device was given a
    place to measure. A device is turned away by its population, so ``checked_in`` counts the
    rejections of all the population's tasks. ``refused`` counts uploads by the code they were
    refused with; a refused device may send again, so it is lost only when its place is.
    """

    task: Name
    population: Name
    since: float
    until: float
    steps: tuple[FunnelStep, ...]
    evaluation_steps: tuple[FunnelStep, ...] = ()
    refused: dict[str, Count] = {}
