"""The conversation of a device with the server, one record per message."""

from __future__ import annotations

from enum import StrEnum

from .codecs import FLOAT32
from .plan import Plan, RetryWindow, RoundKind
from .record import Count, Metrics, Name, Positive, Record, Seconds, Sha256

PROTOCOL_VERSION = 1


class Attestation(Record, frozen=True, kw_only=True):
    """What vouches for a device: a service's ``token`` over the server's ``challenge``."""

    kind: str
    token: str
    challenge: str


class Enrolment(Record, frozen=True, kw_only=True):
    """A device asks to become known."""

    protocol_version: Positive = PROTOCOL_VERSION
    client_version: str
    attestation: Attestation | None = None


class Device(Record, frozen=True, kw_only=True):
    """A known device. ``token`` is shown once; the server keeps only its digest."""

    device_id: str
    token: str
    expires_in_s: Seconds | None = None


class Capabilities(Record, frozen=True, kw_only=True):
    """What a device can do, encode and hold.

    ``kinds`` are those of rounds, see ``RoundKind``; ``codecs`` are names of codecs in any order.
    """

    kinds: tuple[str, ...] = ("train",)
    codecs: tuple[str, ...] = (FLOAT32,)
    runtime: str = ""
    max_bytes: Count | None = None


class CheckIn(Record, frozen=True, kw_only=True):
    """A device offers to serve its population.

    ``examples_bucket`` is its example count rounded down to a power of two, so that the server
    learns no exact number before the device has trained.
    """

    protocol_version: Positive = PROTOCOL_VERSION
    client_version: str
    capabilities: Capabilities = Capabilities()
    examples_bucket: Count = 0


class Resource(Record, frozen=True, kw_only=True):
    """Immutable bytes to download; ``url`` is relative to the server."""

    url: str
    sha256: Sha256
    bytes: Count


class Assignment(Record, frozen=True, kw_only=True):
    """A place in one round. The time-outs count from the moment the answer arrives.

    ``codec`` is how the delta is to be encoded. In a round of the kind ``evaluate`` the checkpoint
    is measured and nothing is uploaded; ``round`` is then the version that is measured.
    """

    assignment_id: str
    task: Name
    kind: RoundKind = RoundKind.TRAIN
    round: Positive
    attempt: Positive
    checkpoint: Resource
    model: Resource
    manifest: Resource
    plan: Plan
    codec: str = FLOAT32
    compute_within_s: Seconds
    upload_within_s: Seconds
    retry: RetryWindow


class RejectionReason(StrEnum):
    """Why a device was turned away."""

    NO_TASK = "no_task"
    ROUND_FULL = "round_full"
    ALREADY_TOOK_PART = "already_took_part"
    NOT_CAPABLE = "not_capable"
    STORAGE_LOW = "storage_low"


class Rejection(Record, frozen=True, kw_only=True):
    """Not now; come back within the window. Being turned away is a normal answer."""

    reason: RejectionReason
    detail: str
    retry: RetryWindow


class Outcome(StrEnum):
    """How local training ended."""

    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    NOT_ELIGIBLE = "not_eligible"
    FAILED = "failed"


class Report(Record, frozen=True, kw_only=True):
    """A device announces its delta before it sends it, or tells what it has measured.

    ``num_examples`` is the number of distinct examples really trained on, the FedAvg weight n_k;
    ``loss`` is the mean training loss of the last pass. ``bytes`` and ``sha256`` are those of the
    body that will follow; they are empty unless the outcome is ``completed``. After an evaluation
    there is no body: ``metrics`` are means over ``num_examples`` examples.
    """

    outcome: Outcome
    num_examples: Count = 0
    bytes: Count = 0
    sha256: Sha256 | None = None
    loss: float | None = None
    train_s: Seconds | None = None
    metrics: Metrics = {}


class UploadInstruction(Record, frozen=True, kw_only=True):
    """Where and until when the announced body may be sent.

    An absolute ``url`` is another host's: it gets these headers and never the device's token. With
    a ``commit_url`` the body counts only once the device has posted to it.
    """

    url: str
    method: str = "PUT"
    headers: dict[str, str] = {}
    upload_within_s: Seconds
    commit_url: str | None = None


class AssignmentState(StrEnum):
    """Where an assignment stands; the last six are final.

    ``measured`` is an evaluation's ``uploaded``: the report is durable and is all that is sent.
    """

    ASSIGNED = "assigned"
    REPORTED = "reported"
    UPLOADED = "uploaded"
    MEASURED = "measured"
    FOLDED = "folded"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    ABORTED = "aborted"
    LATE = "late"


class Receipt(Record, frozen=True, kw_only=True):
    """The delta is on durable storage and counts once, however often it is sent again."""

    assignment_id: str
    sha256: Sha256
    bytes: Count


class Fate(Record, frozen=True, kw_only=True):
    """Where an assignment stands, for a device that lost an answer."""

    assignment_id: str
    state: AssignmentState
    reason: str | None = None
    retry: RetryWindow
