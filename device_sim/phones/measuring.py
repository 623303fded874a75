"""Measuring: how good a checkpoint is on one phone's examples, as it tells the server."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ...protocol.errors import ImplausibleReport
from ...protocol.messages import Outcome, Report
from ...protocol.record import Metrics
from ...protocol.weights import Weights
from ..conditions import evaluation_stream
from ..data.examples import Examples
from ..training.trainers import Evaluation, Trainer

if TYPE_CHECKING:
    from ..workers.jobs import Job


def metrics_of(result: Evaluation) -> Metrics:
    """An evaluation under the names that devices and operators report it by."""
    return {"loss": result.loss, "accuracy": result.accuracy}


def measure(trainer: Trainer, weights: Weights, examples: Examples, *, job: Job) -> Report:
    """Runs the model's ``evaluate`` over the phone's examples, as many as the plan allows.

    Raises ImplausibleReport when the loss is not finite: there is no number to tell.
    """
    plan, chosen = job.plan, examples
    if len(examples) > plan.max_examples:
        rng = evaluation_stream(seed=job.seed, device=job.device, version=job.round)
        chosen = examples.take(rng.permutation(len(examples))[: plan.max_examples])
    result = trainer.evaluate(weights, chosen)
    if not math.isfinite(result.loss):
        raise ImplausibleReport(f"the loss of this checkpoint is {result.loss}, nothing to tell")
    return Report(outcome=Outcome.COMPLETED, num_examples=len(chosen), metrics=metrics_of(result))
