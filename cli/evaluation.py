"""``pocketfed evaluate``: checkpoints measured on a test set, told to the server and shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..client import AdminClient
from ..device_sim.data.examples import Examples
from ..device_sim.phones.measuring import metrics_of
from ..device_sim.training.trainers import LiteRTTrainer
from ..protocol import wire
from ..protocol.admin import (
    CheckpointSummary,
    Evaluation,
    EvaluationSource,
    PostEvaluation,
    TaskHistory,
)
from ..protocol.artifact import Artifact
from ..protocol.errors import NotFound


def measure(
    admin: AdminClient, task: str, *, artifact: Artifact, test: Examples, version: int | None
) -> Iterator[Evaluation]:
    """Measures checkpoints with the phones' runtime and tells the server; yields what it keeps.

    Raises SpecMismatch when the checkpoints are not of this artifact, NotFound for an unknown
    version.
    """
    trainer = LiteRTTrainer(artifact.model, artifact.manifest)
    for checkpoint in chosen(admin.history(task), version=version):
        weights = wire.decode(admin.download(checkpoint), artifact.manifest.weight_spec)
        result = trainer.evaluate(weights, test)
        measured = PostEvaluation(
            version=checkpoint.version, num_examples=len(test), metrics=metrics_of(result)
        )
        yield admin.post_evaluation(task, measured)


def chosen(history: TaskHistory, *, version: int | None) -> Sequence[CheckpointSummary]:
    """The named checkpoint, or all that the operator has not measured."""
    if version is None:
        known = {
            one.version for one in history.evaluations if one.source is EvaluationSource.OPERATOR
        }
        return [one for one in history.checkpoints if one.version not in known]
    named = [one for one in history.checkpoints if one.version == version]
    if not named:
        newest = history.checkpoints[-1].version
        raise NotFound(f"{history.task.name} has no version {version}, the newest is {newest}")
    return named
