"""Jobs: what one phone is to compute in one round, and what comes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...protocol.messages import Assignment, Report
from ...protocol.plan import Plan, RoundKind
from ...protocol.weights import Vector


@dataclass(frozen=True, kw_only=True)
class Job:
    """Local training or measuring, named by everything that its outcome depends on.

    ``model``, ``manifest`` and ``checkpoint`` are SHA-256 of bytes. ``steps`` are the batches it
    takes, known before. ``owed`` is what a codec left out of the phone's last accepted delta, for
    error feedback, or None. ``due_s`` is when the fleet will ask for the outcome, on its own clock:
    of two jobs as long, the one that is asked for sooner goes first.
    """

    kind: RoundKind
    model: str
    manifest: str
    checkpoint: str
    plan: Plan
    codec: str
    device: int
    round: int
    seed: int
    steps: int
    owed: Vector | None = None
    due_s: float = 0.0

    @classmethod
    def of(
        cls,
        assignment: Assignment,
        *,
        seed: int,
        device: int,
        num_examples: int,
        owed: Vector | None = None,
    ) -> Job:
        """What an assignment asks of a phone that owns ``num_examples``."""
        return cls(
            kind=assignment.kind,
            model=assignment.model.sha256,
            manifest=assignment.manifest.sha256,
            checkpoint=assignment.checkpoint.sha256,
            plan=assignment.plan,
            codec=assignment.codec,
            device=device,
            round=assignment.round,
            seed=seed,
            steps=steps_of(assignment.kind, assignment.plan, num_examples),
            owed=owed,
        )


@dataclass(frozen=True)
class Done:
    """What a phone tells and sends; ``left_out`` is what its codec left out of the body.

    ``deviation`` is how far two trainers were apart, if the training was compared.
    """

    report: Report
    body: bytes = b""
    left_out: Vector | None = None
    deviation: float | None = None


def steps_of(kind: RoundKind, plan: Plan, num_examples: int) -> int:
    """Batches in all passes; measuring is one pass, and a batch costs what a step does."""
    passes = plan.epochs if kind is RoundKind.TRAIN else 1
    return passes * math.ceil(min(num_examples, plan.max_examples) / plan.batch_size)
