"""Measuring: how good a checkpoint is on one phone's examples, as it tells the server."""

from __future__ import annotations

import math

from ..protocol.errors import ImplausibleReport
from ..protocol.messages import Assignment, Outcome, Report
from ..protocol.record import Metrics
from ..protocol.weights import Weights
from .conditions import PhoneConditions, Place, evaluation_stream
from .data.examples import Examples
from .trainers import Evaluation, Trainer


def metrics_of(result: Evaluation) -> Metrics:
    """An evaluation under the names that devices and operators report it by."""
    return {"loss": result.loss, "accuracy": result.accuracy}


def measure(
    trainer: Trainer,
    weights: Weights,
    examples: Examples,
    *,
    assignment: Assignment,
    conditions: PhoneConditions,
    now_s: float = 0.0,
) -> tuple[Report, float]:
    """Runs the model's ``evaluate`` over the phone's examples, as many as the plan allows.

    Returns what to tell, and how long such a phone would have taken in seconds: a batch is taken
    to cost what a step of training does. Raises ImplausibleReport when the loss is not finite:
    there is no number to tell.
    """
    plan, chosen = assignment.plan, examples
    if len(examples) > plan.max_examples:
        rng = evaluation_stream(
            seed=conditions.seed, device=conditions.device, version=assignment.round
        )
        chosen = examples.take(rng.permutation(len(examples))[: plan.max_examples])
    result = trainer.evaluate(weights, chosen)
    if not math.isfinite(result.loss):
        raise ImplausibleReport(f"the loss of this checkpoint is {result.loss}, nothing to tell")
    report = Report(outcome=Outcome.COMPLETED, num_examples=len(chosen), metrics=metrics_of(result))
    taken_s = conditions.compute_s(
        math.ceil(len(chosen) / plan.batch_size),
        batch_size=plan.batch_size,
        place=Place.of(assignment),
        now_s=now_s,
    )
    return report, taken_s
