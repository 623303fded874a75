"""Local work: what one phone makes of an assignment, and how long that takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..protocol import wire
from ..protocol.messages import Assignment, Outcome, Report
from ..protocol.plan import RoundKind
from ..protocol.weights import Weights
from .conditions import PhoneConditions, Place, shuffle_stream
from .data.examples import Examples
from .encoding import Encoder
from .falsifying import falsified
from .measuring import measure
from .trainers import Trainer


@dataclass(frozen=True)
class Made:
    """A finished piece of local work: what to announce and what to send."""

    report: Report
    body: bytes = b""


class LocalWork:
    """Trains and measures on one phone's examples; remembers what its codec left out."""

    def __init__(
        self, examples: Examples, *, conditions: PhoneConditions, clock: Callable[[], float]
    ) -> None:
        self._examples = examples
        self._conditions = conditions
        self._clock = clock
        self._encoder = Encoder(seed=conditions.seed, device=conditions.device)

    def made(
        self, assignment: Assignment, weights: Weights, trainer: Trainer
    ) -> tuple[Made, float]:
        """Works; returns what to send, and how long a phone like this one would have taken."""
        if assignment.kind is RoundKind.EVALUATE:
            made, taken_s = self._measured(assignment, weights, trainer)
        else:
            made, taken_s = self._trained(assignment, weights, trainer)
        mischief = self._conditions.mischief
        return Made(*falsified(mischief, assignment, made.report, made.body)), taken_s

    def accepted(self, assignment: Assignment) -> None:
        """The server has what was made for this assignment."""
        self._encoder.accepted(assignment)

    def _measured(
        self, assignment: Assignment, weights: Weights, trainer: Trainer
    ) -> tuple[Made, float]:
        report, taken_s = measure(
            trainer,
            weights,
            self._examples,
            assignment=assignment,
            conditions=self._conditions,
            now_s=self._clock(),
        )
        return Made(report), taken_s

    def _trained(
        self, assignment: Assignment, weights: Weights, trainer: Trainer
    ) -> tuple[Made, float]:
        conditions, began_s = self._conditions, self._clock()
        rng = shuffle_stream(
            seed=conditions.seed, device=conditions.device, round_=assignment.round
        )
        result = trainer.train(weights, self._examples, plan=assignment.plan, rng=rng)
        taken_s = conditions.compute_s(
            result.steps,
            batch_size=assignment.plan.batch_size,
            place=Place.of(assignment),
            now_s=began_s,
        )
        body = self._encoder.encode(assignment, result.delta)
        report = Report(
            outcome=Outcome.COMPLETED,
            num_examples=result.num_examples,
            bytes=len(body),
            sha256=wire.sha256(body),
            loss=result.loss,
            train_s=self._clock() - began_s + taken_s,
        )
        return Made(report, body), taken_s
