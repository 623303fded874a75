"""On-device-only: what phones reach that train alone, each on its own examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...protocol import wire
from ...protocol.artifact import CHECKPOINT, MANIFEST, Artifact
from ...protocol.codecs import FLOAT32
from ...protocol.plan import Plan, RoundKind
from ...protocol.weights import Weights
from ..data.examples import Examples
from ..ownership import Ownership
from ..streams import Purpose, stream
from ..training.trainers import Evaluation, Trainer
from ..workers import Workers
from ..workers.jobs import Job, steps_of

# Rounds of a task are numbered from 1.
ALONE = 0


@dataclass(frozen=True)
class Alone:
    """What one phone reached by itself, on the test examples."""

    device: int
    num_examples: int
    measured: Evaluation


def train_alone(
    workers: Workers,
    trainer: Trainer,
    artifact: Artifact,
    owned: Ownership,
    *,
    test: Examples,
    plan: Plan,
    phones: int,
    seed: int,
) -> list[Alone]:
    """Has some phones that the seed draws train from the artifact's checkpoint, and measures each.

    All passes of the plan are one local training. Raises what ``Workers`` names.
    """
    bodies = _bodies(artifact)
    jobs = [
        _job(artifact, tuple(bodies), plan=plan, device=device, seed=seed, owned=owned)
        for device in _drawn(owned, phones, seed=seed)
    ]
    begun = [(job, workers.submit(job, bodies)) for job in jobs]
    start = artifact.checkpoint
    reached = []
    for job, done in begun:
        delta = wire.decode(done.result().body, start.spec)
        measured = trainer.evaluate(Weights(start.spec, start.vector + delta.vector), test)
        reached.append(Alone(job.device, done.result().report.num_examples, measured))
    return reached


def _job(
    artifact: Artifact,
    names: Sequence[str],
    *,
    plan: Plan,
    device: int,
    seed: int,
    owned: Ownership,
) -> Job:
    model, manifest, checkpoint = names
    return Job(
        kind=RoundKind.TRAIN,
        model=model,
        manifest=manifest,
        checkpoint=checkpoint,
        plan=plan,
        codec=FLOAT32,
        device=device,
        round=ALONE,
        seed=seed,
        steps=steps_of(RoundKind.TRAIN, plan, owned.num_examples(device)),
    )


def _bodies(artifact: Artifact) -> dict[str, bytes]:
    """Model, manifest and checkpoint by their SHA-256."""
    bodies = (
        artifact.model,
        (artifact.folder / MANIFEST).read_bytes(),
        artifact.bytes_of(CHECKPOINT),
    )
    return {wire.sha256(body): body for body in bodies}


def _drawn(owned: Ownership, phones: int, *, seed: int) -> list[int]:
    rng = stream(seed, Purpose.BASELINE, 2)
    count = min(phones, owned.phones)
    return [int(one) for one in np.sort(rng.choice(owned.phones, count, replace=False))]
